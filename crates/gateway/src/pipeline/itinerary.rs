//! What may serve a request, best first: models at services, each a link.

use super::call::Call;
use crate::accounts::service::Service;
use crate::shared::Shared;
use bytes::Bytes;
use ripcord_rules::quota::BodyDigest;
use ripcord_wire::body::{RequestBody, Rewrite};
use std::hash::BuildHasher as _;
use std::sync::{Arc, OnceLock};

/// One model at one service.
pub(crate) struct Link {
    pub(crate) service: Arc<Service>,
    /// As it is sent.
    pub(crate) model: Arc<str>,
    /// In rests, records and metrics: the bare name at Chutes, `provider:model` elsewhere.
    pub(crate) key: Arc<str>,
    pub(crate) kind: LinkKind,
    request: Arc<RequestBody>,
    outgoing: OnceLock<Outgoing>,
}

/// How a link came into the itinerary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// It is what the client named.
    Asked,
}

/// What is sent to a link.
pub(crate) struct Outgoing {
    pub(crate) bytes: Bytes,
    /// A fingerprint: Chutes counts a repeated body at a tenth.
    pub(crate) digest: BodyDigest,
}

/// The links of one request, best first.
pub(crate) struct Itinerary {
    links: Vec<Arc<Link>>,
}

// === impl LinkKind ===

impl LinkKind {
    /// The name in records.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
        }
    }
}

// === impl Link ===

impl Link {
    /// A model at Chutes.
    pub(crate) fn at_chutes(service: &Arc<Service>, model: Arc<str>, call: &Call) -> Self {
        Self {
            service: Arc::clone(service),
            key: Arc::clone(&model),
            model,
            kind: LinkKind::Asked,
            request: Arc::clone(&call.request),
            outgoing: OnceLock::new(),
        }
    }

    /// The body with what this link needs changed in it. Made when it is first wanted.
    pub(crate) fn outgoing(&self, shared: &Shared) -> &Outgoing {
        self.outgoing.get_or_init(|| {
            let rewrite = Rewrite {
                model: (*self.model != *self.request.model()).then_some(&*self.model),
                include_usage: self.service.include_usage && self.request.wants_stream(),
            };
            let bytes = self.request.rewrite(&rewrite);
            let digest = BodyDigest(shared.body_hasher.hash_one(&bytes[..]));
            Outgoing { bytes, digest }
        })
    }

    /// What is asked of it.
    pub(crate) const fn request(&self) -> &Arc<RequestBody> {
        &self.request
    }

    /// The same link for another body.
    pub(crate) fn with_request(&self, request: &Arc<RequestBody>) -> Self {
        Self {
            service: Arc::clone(&self.service),
            model: Arc::clone(&self.model),
            key: Arc::clone(&self.key),
            kind: self.kind,
            request: Arc::clone(request),
            outgoing: OnceLock::new(),
        }
    }

    /// The same link for a body with this fingerprint.
    #[cfg(test)]
    pub(crate) fn with_digest(self, digest: BodyDigest) -> Self {
        Self { outgoing: OnceLock::from(Outgoing { bytes: Bytes::new(), digest }), ..self }
    }
}

// === impl Itinerary ===

impl Itinerary {
    /// What may serve the call.
    pub(crate) fn plan(shared: &Shared, call: &Call) -> Self {
        let link = Link::at_chutes(&shared.chutes, Arc::clone(&call.model), call);
        Self { links: vec![Arc::new(link)] }
    }

    pub(crate) fn links(&self) -> &[Arc<Link>] {
        &self.links
    }

    /// Every link with every account at its service.
    pub(crate) fn pairs<'a>(
        &'a self,
        shared: &'a Shared,
    ) -> impl Iterator<Item = (&'a Arc<Link>, usize)> {
        self.links.iter().flat_map(|link| {
            let accounts = shared.accounts.iter().enumerate();
            let its = accounts.filter(|(_, account)| Arc::ptr_eq(&account.service, &link.service));
            its.map(move |(number, _)| (link, number))
        })
    }

    /// The link of a granted candidate.
    pub(crate) fn link(&self, choice: u16) -> Option<&Arc<Link>> {
        self.links.get(usize::from(choice))
    }

    /// Leaves out every link that is none of these.
    pub(crate) fn keep(&mut self, is_kept: impl Fn(&Link) -> bool) {
        self.links.retain(|link| is_kept(link));
    }

    /// Sends another body from here on.
    pub(crate) fn replace_request(&mut self, request: &Arc<RequestBody>) {
        self.replace_requests(|_| Arc::clone(request));
    }

    /// Sends a body of its own to each link from here on.
    pub(crate) fn replace_requests(&mut self, request_for: impl Fn(&Link) -> Arc<RequestBody>) {
        for link in &mut self.links {
            *link = Arc::new(link.with_request(&request_for(link)));
        }
    }
}
