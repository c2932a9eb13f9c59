//! Limits the pages of Kubernetes lists in bytes: authors of claims decide the size of each claim, and memory is
//! limited. It is a layer of the client, invisible to callers.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::http::uri::{PathAndQuery, Uri};
use hyper::{Request, Response};
use tower::{Layer, Service};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The maximum size of a page, in bytes. A stored object has at most 1.5 MiB.
const LARGEST: usize = 8 << 20;
/// The maximum for a page of one object: as JSON, an object may be several times as large as when stored.
const LARGEST_OBJECT: usize = 32 << 20;
/// The divisor of the number of objects on a page that was too large.
const DIVISOR: u32 = 4;

/// A layer that limits pages. Clones share the limits that were found.
#[derive(Debug, Clone, Default)]
pub struct SmallPages {
    /// The maximum number of objects on a page, by the path of the list, after a page was too large. The limit stays,
    /// because the large object is in the next list too.
    most: Arc<Mutex<HashMap<String, u32>>>,
}

impl SmallPages {
    fn most(&self, path: &str) -> Option<u32> {
        self.most.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }

    /// Records that a page of so many objects was too large.
    fn too_large(&self, path: &str, limit: u32) {
        let mut most = self.most.lock().unwrap_or_else(PoisonError::into_inner);
        most.insert(path.to_owned(), (limit / DIVISOR).max(1));
    }
}

impl<S> Layer<S> for SmallPages {
    type Service = SmallPagesOf<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SmallPagesOf { inner, pages: self.clone() }
    }
}

/// The service of [`SmallPages`].
#[derive(Debug)]
pub struct SmallPagesOf<S> {
    inner: S,
    pages: SmallPages,
}

impl<S, A, B> Service<Request<A>> for SmallPagesOf<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Bounded>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let limit = asked(request.uri())
            .map(|asked| self.pages.most(&path).map_or(asked, |most| asked.min(most)));
        if let Some(uri) = limit.and_then(|limit| with_limit(request.uri(), limit)) {
            *request.uri_mut() = uri;
        }
        let page = limit.map(|limit| Page { pages: self.pages.clone(), path, limit });
        let answer = self.inner.call(request);
        Box::pin(async move {
            Ok(answer.await?.map(|body| Bounded {
                body: Box::pin(Boxed(Box::pin(body))),
                read: 0,
                page,
            }))
        })
    }
}

/// Returns the number of objects that a list requests; none if the request is not a list with pages.
fn asked(uri: &Uri) -> Option<u32> {
    let query = uri.query()?;
    let mut words = query.split('&').filter_map(|word| word.split_once('='));
    if words.clone().any(|(key, value)| key == "watch" && value != "false") {
        return None;
    }
    words.find(|(key, _)| *key == "limit").and_then(|(_, value)| value.parse().ok())
}

/// Returns the same request with another limit.
fn with_limit(uri: &Uri, limit: u32) -> Option<Uri> {
    let words = uri.query()?.split('&').map(|word| match word.split_once('=') {
        Some(("limit", _)) => format!("limit={limit}"),
        _ => word.to_owned(),
    });
    let text = format!("{}?{}", uri.path(), words.collect::<Vec<_>>().join("&"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(text.parse::<PathAndQuery>().ok()?);
    Uri::from_parts(parts).ok()
}

/// A page that is being read.
struct Page {
    pages: SmallPages,
    path: String,
    limit: u32,
}

/// A body that ends with an error if it is too large.
pub struct Bounded {
    body: Pin<Box<dyn Body<Data = Bytes, Error = BoxError> + Send>>,
    read: usize,
    page: Option<Page>,
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(self.body.as_mut().poll_frame(context));
        let this = &mut *self;
        if let (Some(Ok(frame)), Some(page)) = (&frame, &this.page) {
            this.read += frame.data_ref().map_or(0, Bytes::len);
            let most = if page.limit == 1 { LARGEST_OBJECT } else { LARGEST };
            if this.read > most {
                page.pages.too_large(&page.path, page.limit);
                let why = format!("a page of {} objects has more than {most} bytes", page.limit);
                return Poll::Ready(Some(Err(why.into())));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body with one type of error.
struct Boxed<B>(Pin<Box<B>>);

impl<B> Body for Boxed<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// An API server whose objects have a given size. It remembers the requested limits and sends the objects.
    #[derive(Clone)]
    struct Api {
        object: usize,
        asked: Arc<Mutex<Vec<u32>>>,
        sent: Arc<AtomicU64>,
    }

    impl Service<Request<()>> for Api {
        type Response = Response<axum::body::Body>;
        type Error = BoxError;
        type Future = std::future::Ready<Result<Self::Response, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<()>) -> Self::Future {
            let limit = asked(request.uri()).unwrap_or(1000);
            self.asked.lock().expect("not poisoned").push(limit);
            let (object, sent) = (Bytes::from(vec![b' '; self.object]), Arc::clone(&self.sent));
            let objects = futures::stream::iter((0..limit).map(move |_| {
                sent.fetch_add(object.len() as u64, Ordering::Relaxed);
                Ok::<_, BoxError>(object.clone())
            }));
            std::future::ready(Ok(Response::new(axum::body::Body::from_stream(objects))))
        }
    }

    /// Repeats a list until an answer is complete. Returns the limit of each request, and the number of bytes sent.
    async fn ask(object: usize, uri: &str) -> (Vec<u32>, u64, Option<usize>) {
        let api = Api { object, asked: Arc::default(), sent: Arc::default() };
        let mut service = SmallPages::default().layer(api.clone());
        let mut whole = None;
        for _ in 0..10 {
            let request = Request::get(uri).body(()).expect("a request");
            let answer = service.call(request).await.expect("an answer");
            let body = axum::body::Body::new(answer.into_body());
            if let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await {
                whole = Some(bytes.len());
                break;
            }
        }
        let asked = api.asked.lock().expect("not poisoned").clone();
        (asked, api.sent.load(Ordering::Relaxed), whole)
    }

    const CLAIMS: &str = "https://10.0.0.1/api/v1/persistentvolumeclaims?&limit=100&continue=a%3D";

    #[tokio::test]
    async fn small_objects_come_as_many_at_once_as_is_asked_for() {
        assert_eq!(ask(4 << 10, CLAIMS).await, (vec![100], 400 << 10, Some(400 << 10)));
    }

    #[tokio::test]
    async fn large_objects_come_a_few_at_once() {
        let (asked, sent, whole) = ask(250 << 10, CLAIMS).await;
        assert_eq!((asked, whole), (vec![100, 25], Some((25 * 250) << 10)));
        assert!(sent < 3 * LARGEST as u64, "{sent}");
        let (asked, sent, whole) = ask(3 << 20, CLAIMS).await;
        assert_eq!((asked, whole), (vec![100, 25, 6, 1], Some(3 << 20)));
        assert!(sent < 5 * LARGEST as u64, "{sent}");
        // An object of the maximum size is read too, so that it does not block the others.
        assert_eq!(ask(20 << 20, CLAIMS).await.2, Some(20 << 20));
    }

    #[tokio::test]
    async fn what_is_no_page_is_left_alone() {
        let watch = "https://10.0.0.1/api/v1/persistentvolumeclaims?watch=true&limit=100";
        assert_eq!(ask(10 << 10, watch).await, (vec![1000], 10_000 << 10, Some(10_000 << 10)));
    }

    #[test]
    fn all_but_the_limit_stays() {
        let uri: Uri = CLAIMS.parse().expect("a URI");
        let other = with_limit(&uri, 7).expect("a URI").to_string();
        assert_eq!(other, CLAIMS.replace("limit=100", "limit=7"));
    }
}
