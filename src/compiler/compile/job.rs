//! `CronJobs`: scheduled, or suspended and started on request.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::names::labels;
use super::{Context, pod, wave};
use crate::compiler::blueprint::{Job, When};
use crate::compiler::manifest::Object;
use crate::compiler::spec::hours_of_a_day;

/// A schedule for suspended jobs. Kubernetes requires a valid one.
const YEARLY: &str = "0 0 1 1 *";
/// Time in seconds that a finished run is kept.
const KEPT: i32 = 7 * 24 * 3600;

/// Returns how late a run may start after an outage of the control plane, in seconds. A job that runs many times
/// a day may skip runs; a nightly job must not.
fn lateness(when: &When) -> i64 {
    let daily = match when {
        When::Every(schedule) => hours_of_a_day(schedule) == Some(1),
        When::Asked => false,
    };
    if daily { 6 * 3600 } else { 300 }
}

/// Returns one CronJob for each job.
pub(super) fn jobs(context: &Context<'_>) -> Vec<Object> {
    context.app.jobs.iter().map(|(name, job)| cron_job(context, name, job)).collect()
}

fn cron_job(context: &Context<'_>, name: &str, job: &Job) -> Object {
    let app = context.app;
    let (schedule, suspended) = match &job.schedule.when {
        When::Every(schedule) => (schedule.clone(), false),
        When::Asked => (YEARLY.to_owned(), true),
    };
    Object::from(CronJob {
        metadata: context.metadata(app.object_name(name), name, wave::LAST),
        spec: Some(CronJobSpec {
            schedule,
            time_zone: Some("Etc/UTC".to_owned()),
            suspend: suspended.then_some(true),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(lateness(&job.schedule.when)),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(3),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels(app, name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(JobSpec {
                    active_deadline_seconds: job.schedule.deadline.map(|d| i64::from(d.0)),
                    backoff_limit: Some(i32::from(job.schedule.retries)),
                    ttl_seconds_after_finished: Some(KEPT),
                    template: pod::of_job(context, name, job),
                    ..JobSpec::default()
                }),
            },
        }),
        status: None,
    })
}
