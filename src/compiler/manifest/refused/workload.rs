//! Rules for workloads (selectors, strategies, schedules), autoscalers and disruption budgets.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job, JobSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Found, Path, metadata, pod, zone};
use crate::compiler::manifest::Object;
use crate::compiler::spec::{Format, is_cron_of_kubernetes};

const COUNT: i64 = i64::MAX;

pub(super) fn workload(object: &Object, found: &mut Found) {
    let at = Path::new("spec");
    match object {
        Object::Deployment(object) => deployment(object, &at, found),
        Object::StatefulSet(object) => {
            let Some(spec) = &object.spec else { return };
            counts(
                &[
                    ("replicas", spec.replicas),
                    ("minReadySeconds", spec.min_ready_seconds),
                    ("revisionHistoryLimit", spec.revision_history_limit),
                ],
                &at,
                found,
            );
            found.choice(
                &at.child("podManagementPolicy"),
                spec.pod_management_policy.as_deref(),
                &["OrderedReady", "Parallel"],
            );
            selected(&spec.selector, &spec.template, &at, found);
            template(&spec.template, &["Always"], &at, found);
        }
        Object::DaemonSet(object) => {
            let Some(spec) = &object.spec else { return };
            counts(
                &[
                    ("minReadySeconds", spec.min_ready_seconds),
                    ("revisionHistoryLimit", spec.revision_history_limit),
                ],
                &at,
                found,
            );
            selected(&spec.selector, &spec.template, &at, found);
            template(&spec.template, &["Always"], &at, found);
        }
        Object::Job(object) => job(object, &at, found),
        Object::CronJob(object) => cron_job(object, &at, found),
        Object::HorizontalPodAutoscaler(object) => autoscaler(object, &at, found),
        Object::PodDisruptionBudget(object) => budget(object, &at, found),
        _ => {}
    }
}

fn counts(fields: &[(&str, Option<i32>)], at: &Path, found: &mut Found) {
    for (field, number) in fields {
        found.bounds(&at.child(field), number.map(i64::from), 0, COUNT);
    }
}

fn deployment(object: &Deployment, at: &Path, found: &mut Found) {
    let Some(spec) = &object.spec else { return };
    counts(
        &[
            ("replicas", spec.replicas),
            ("minReadySeconds", spec.min_ready_seconds),
            ("revisionHistoryLimit", spec.revision_history_limit),
        ],
        at,
        found,
    );
    let deadline = spec.progress_deadline_seconds.unwrap_or(600);
    let ready = spec.min_ready_seconds.unwrap_or(0);
    if deadline <= ready {
        let message = format!("`{deadline}` is not more than `minReadySeconds`, which is {ready}");
        found.add(
            &at.child("progressDeadlineSeconds"),
            message,
            format!("write more than {ready}"),
        );
    }
    if let Some(strategy) = &spec.strategy {
        let at = at.child("strategy");
        found.choice(&at, strategy.type_.as_deref(), &["Recreate", "RollingUpdate"]);
        let rolling = strategy.rolling_update.as_ref();
        if strategy.type_.as_deref() == Some("Recreate") && rolling.is_some() {
            let message = "`Recreate` replaces all pods at once, so `rollingUpdate` is not allowed";
            found.add(
                &at.child("rollingUpdate"),
                message,
                "write `rollingUpdate: null` as well, or `$patch: replace`",
            );
        }
        let is_zero = |number: &IntOrString| {
            matches!(number, IntOrString::Int(0))
                || matches!(number, IntOrString::String(text) if text == "0%")
        };
        if let Some(rolling) = rolling
            && rolling.max_unavailable.as_ref().is_some_and(is_zero)
            && rolling.max_surge.as_ref().is_some_and(is_zero)
        {
            let message = "`maxUnavailable` and `maxSurge` are both 0, so no pod could be replaced";
            found.add(
                &at.child("rollingUpdate").child("maxUnavailable"),
                message,
                "raise one of them",
            );
        }
    }
    selected(&spec.selector, &spec.template, at, found);
    template(&spec.template, &["Always"], at, found);
}

/// Checks that a workload's selector matches the pods that it creates.
fn selected(selector: &LabelSelector, template: &PodTemplateSpec, at: &Path, found: &mut Found) {
    let wanted = selector.match_labels.iter().flatten();
    let expressions = selector.match_expressions.as_ref().is_none_or(Vec::is_empty);
    if expressions
        && selector.match_labels.as_ref().is_none_or(std::collections::BTreeMap::is_empty)
    {
        let message = "an empty selector would select every pod of the namespace";
        found.add(&at.child("selector"), message, "keep the selector as it is");
    }
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    for (key, value) in wanted {
        let has = labels.and_then(|labels| labels.get(key));
        if has != Some(value) {
            let has = has.map_or_else(|| "lacks it".to_owned(), |has| format!("has `{has}`"));
            let message =
                format!("the selector requires `{key}: {value}`, but the pods' template {has}");
            let fix = "change neither: workloads find their pods by this label, and selectors are immutable";
            found.add(&at.child("template").child("metadata").child("labels"), message, fix);
        }
    }
}

fn template(template: &PodTemplateSpec, restart: &[&str], at: &Path, found: &mut Found) {
    let at = at.child("template");
    if let Some(of) = &template.metadata {
        metadata::labels(of.labels.as_ref(), &at.child("metadata").child("labels"), found);
    }
    let at = at.child("spec");
    let Some(spec) = &template.spec else {
        found.add(
            &at.child("containers"),
            "a pod needs a container, and none is left",
            "write the pod's `spec`",
        );
        return;
    };
    match spec.restart_policy.as_deref() {
        Some(word) => found.choice(&at.child("restartPolicy"), Some(word), restart),
        None if !restart.contains(&"Always") => {
            found.add(
                &at.child("restartPolicy"),
                "a Job's pods need one",
                "write `OnFailure` or `Never`",
            );
        }
        None => {}
    }
    pod::pod(spec, &at, found);
}

fn job(object: &Job, at: &Path, found: &mut Found) {
    if let Some(spec) = &object.spec {
        if spec.selector.is_some() && spec.manual_selector != Some(true) {
            let message = "Kubernetes sets a Job's selector itself";
            found.add(&at.child("selector"), message, "remove it");
        }
        job_spec(spec, at, found);
    }
}

fn job_spec(spec: &JobSpec, at: &Path, found: &mut Found) {
    counts(
        &[
            ("parallelism", spec.parallelism),
            ("completions", spec.completions),
            ("backoffLimit", spec.backoff_limit),
            ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished),
        ],
        at,
        found,
    );
    found.bounds(&at.child("activeDeadlineSeconds"), spec.active_deadline_seconds, 0, COUNT);
    found.choice(
        &at.child("completionMode"),
        spec.completion_mode.as_deref(),
        &["NonIndexed", "Indexed"],
    );
    template(&spec.template, &["OnFailure", "Never"], at, found);
}

fn cron_job(object: &CronJob, at: &Path, found: &mut Found) {
    let Some(spec) = &object.spec else { return };
    if !is_cron_of_kubernetes(&spec.schedule) {
        found.format(&at.child("schedule"), &spec.schedule, Format::Cron);
    }
    if let Some(zone) = &spec.time_zone {
        zone::zone(zone, &at.child("timeZone"), found);
    }
    found.choice(
        &at.child("concurrencyPolicy"),
        spec.concurrency_policy.as_deref(),
        &["Allow", "Forbid", "Replace"],
    );
    counts(
        &[
            ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
            ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
        ],
        at,
        found,
    );
    found.bounds(&at.child("startingDeadlineSeconds"), spec.starting_deadline_seconds, 0, COUNT);
    if let Some(spec) = &spec.job_template.spec {
        job_spec(spec, &at.child("jobTemplate").child("spec"), found);
    }
}

fn autoscaler(object: &HorizontalPodAutoscaler, at: &Path, found: &mut Found) {
    let Some(spec) = &object.spec else { return };
    found.bounds(&at.child("minReplicas"), spec.min_replicas.map(i64::from), 1, COUNT);
    found.bounds(&at.child("maxReplicas"), Some(spec.max_replicas.into()), 1, COUNT);
    let least = spec.min_replicas.unwrap_or(1);
    if spec.max_replicas > 0 && spec.max_replicas < least {
        let message =
            format!("`{}` is less than `minReplicas`, which is {least}", spec.max_replicas);
        found.add(&at.child("maxReplicas"), message, format!("write {least} or more"));
    }
}

fn budget(object: &PodDisruptionBudget, at: &Path, found: &mut Found) {
    let Some(spec) = &object.spec else { return };
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        let message = "a budget has `minAvailable` or `maxUnavailable`, not both";
        found.add(at, message, "remove one; in a patch, write `maxUnavailable: null`");
    }
}
