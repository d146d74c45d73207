//! What may serve a request, best first: models at services, each a link.

use super::call::Call;
use crate::accounts::service::Service;
use crate::catalogue::Quote;
use crate::config::Trim;
use crate::shared::Shared;
use crate::terms::Terms;
use bytes::Bytes;
use ripcord_rules::model_state::ModelState;
use ripcord_rules::quota::{BodyDigest, Paygo};
use ripcord_rules::route::{
    self, Kind, ModelFacts, Plan, Prospect, Requirements, RoutePolicy, Shape, Stop, Stuck, WhyNot,
};
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
    pub(crate) kind: Kind,
    /// How many tokens it has room for, if that is known.
    pub(crate) context_tokens: Option<u64>,
    request: Arc<RequestBody>,
    outgoing: OnceLock<Outgoing>,
}

/// What is sent to a link.
pub(crate) struct Outgoing {
    pub(crate) bytes: Bytes,
    /// A fingerprint: Chutes counts a repeated body at a tenth.
    pub(crate) digest: BodyDigest,
}

/// A link that is not asked.
pub(crate) struct LeftOut {
    pub(crate) key: Arc<str>,
    pub(crate) why: WhyNot,
}

/// The links of one request, best first.
pub(crate) struct Itinerary {
    links: Vec<Arc<Link>>,
    pub(crate) left_out: Vec<LeftOut>,
    /// What comes first by its configuration and not now, and why.
    pub(crate) not_first: Option<(Arc<str>, &'static str)>,
    /// What is allowed on the way.
    pub(crate) policy: RoutePolicy,
    /// Whether a part of the context may be left out.
    pub(crate) trim: Trim,
    /// Who served the same beginning before.
    stuck: Option<Stuck>,
    /// The prompt did not fit this many tokens.
    too_short: Option<u64>,
}

// === impl Link ===

impl Link {
    /// Whether it gets this very request, but for the model's name.
    pub(crate) fn sends(&self, request: &Arc<RequestBody>) -> bool {
        Arc::ptr_eq(&self.request, request)
    }

    fn new(service: &Arc<Service>, stop: &Stop, call: &Call) -> Self {
        let model: Arc<str> = stop.model.as_str().into();
        Self {
            key: service.key_of(&model),
            service: Arc::clone(service),
            model,
            kind: stop.kind,
            context_tokens: None,
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

    /// What it may cost an account on these terms.
    pub(crate) fn quote(&self, shared: &Shared, terms: &Terms) -> Quote {
        if self.service.is_chutes() {
            shared.catalogue.quote(&self.model, terms)
        } else {
            self.service.quote(&self.model)
        }
    }

    /// The same link for another body.
    fn with_request(&self, request: &Arc<RequestBody>) -> Self {
        Self {
            service: Arc::clone(&self.service),
            model: Arc::clone(&self.model),
            key: Arc::clone(&self.key),
            kind: self.kind,
            context_tokens: self.context_tokens,
            request: Arc::clone(request),
            outgoing: OnceLock::new(),
        }
    }

    /// The link of a call to what it names at Chutes, with a body of this fingerprint.
    #[cfg(test)]
    pub(crate) fn of_test(shared: &Shared, call: &Call, digest: BodyDigest) -> Self {
        let stop =
            Stop { at: route::Where::Chutes, model: call.model.to_string(), kind: Kind::Asked };
        let link = Self::new(&shared.services.chutes, &stop, call);
        Self { outgoing: OnceLock::from(Outgoing { bytes: Bytes::new(), digest }), ..link }
    }
}

// === impl Itinerary ===

impl Itinerary {
    /// What may serve the call, by what is known now.
    pub(crate) fn plan(shared: &Shared, call: &Call) -> Self {
        let chain = shared.routing.chain(&call.model);
        let policy = shared.routing.policy_of(&call.model);
        let siblings = |model: &str| {
            let wanted = policy.siblings && !call.fallback_off;
            if wanted { shared.catalogue.siblings(model) } else { Vec::new() }
        };
        let models = chain.map(|chain| chain.models.as_slice());
        let stops = route::lineup(&call.model, models, &shared.services.routes, siblings);
        let requirements = requirements(call, &policy);
        let now = shared.clock.mono();
        let stuck = call
            .beginning
            .filter(|_| policy.stickiness)
            .and_then(|beginning| shared.stickiness.lock().of(beginning, now).cloned());
        let mut links = Vec::new();
        let mut prospects = Vec::new();
        for stop in &stops {
            let Some(service) = shared.services.at(stop.at) else { continue };
            let mut link = Link::new(service, stop, call);
            let facts = facts(shared, call, &link);
            link.context_tokens = facts.context_tokens;
            prospects.push(Prospect {
                at: stop.at,
                kind: stop.kind,
                facts,
                shape: Shape {
                    state: shared.health.standing(now, &link.key).state,
                    is_shut: shared.health.is_left_alone(now, &link.key),
                },
                is_stuck: stuck.as_ref().is_some_and(|stuck| stuck.link == link.key),
            });
            links.push(Arc::new(link));
        }
        let plan = route::plan(&prospects, &requirements);
        let link = |place: &usize| links.get(*place).map(Arc::clone);
        let left_out = |(place, why): &(usize, WhyNot)| {
            Some(LeftOut { key: Arc::clone(&links.get(*place)?.key), why: *why })
        };
        let not_first = why_not_first(&prospects, &plan)
            .and_then(|why| Some((Arc::clone(&links.first()?.key), why)));
        Self {
            not_first,
            left_out: plan.left_out.iter().filter_map(left_out).collect(),
            links: plan.order.iter().filter_map(link).collect(),
            policy,
            trim: chain.map_or(shared.routing.trim, |chain| chain.trim),
            stuck,
            too_short: None,
        }
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

    /// Whether this account served the same beginning before.
    pub(crate) fn is_stuck_to(&self, account: usize) -> bool {
        self.stuck.as_ref().is_some_and(|stuck| stuck.account == account)
    }

    /// The prompt did not fit this link, so it fits none that has no more room.
    pub(crate) fn was_too_short(&mut self, link: &Link) {
        self.too_short = self.too_short.max(link.context_tokens);
    }

    /// Whether the prompt is known not to fit.
    pub(crate) fn is_too_short(&self, link: &Link) -> bool {
        link.context_tokens.zip(self.too_short).is_some_and(|(room, least)| room <= least)
    }

    /// Sends another body from here on.
    pub(crate) fn replace_request(&mut self, request: &Arc<RequestBody>) {
        self.replace_requests(|_| Arc::clone(request));
    }

    /// Sends a body of its own to each link from here on.
    pub(crate) fn replace_requests(&mut self, request_for: impl Fn(&Link) -> Arc<RequestBody>) {
        self.too_short = None;
        for link in &mut self.links {
            *link = Arc::new(link.with_request(&request_for(link)));
        }
    }
}

/// Why the first of the lineup is not the first of the plan, if it is not.
fn why_not_first(lineup: &[Prospect], plan: &Plan) -> Option<&'static str> {
    const FIRST: usize = 0;
    if plan.order.first() == Some(&FIRST) {
        return None;
    }
    if let Some((_, why)) = plan.left_out.iter().find(|(place, _)| *place == FIRST) {
        return Some(why.name());
    }
    let shape = lineup.first()?.shape;
    Some(match shape.state {
        _ if shape.is_shut => "keeps_failing",
        ModelState::Busy => "busy",
        ModelState::Cold => "cold",
        ModelState::Down => "disabled",
        // As good as what was taken instead, which has the beginning of the prompt in its cache.
        ModelState::Hot | ModelState::Unknown => "sticky",
    })
}

fn requirements(call: &Call, policy: &RoutePolicy) -> Requirements {
    let presence = call.request.presence();
    Requirements {
        tee_required: call.tee_required,
        prompt_tokens: least_tokens(call),
        tools: presence.tools,
        vision: presence.images,
        json_schema: presence.json_schema,
        max_output_price: policy.max_output_price,
        allow_plain: policy.allow_plain,
        fallback_off: call.fallback_off,
    }
}

/// How many tokens the prompt has at least. Pictures are bytes without being tokens, so of those nothing is said.
fn least_tokens(call: &Call) -> u64 {
    /// Prose of any language has fewer bytes to a token.
    const MOST_BYTES_PER_TOKEN: u64 = 6;
    if call.request.presence().images {
        return 0;
    }
    u64::try_from(call.request.prompt_bytes()).unwrap_or(u64::MAX) / MOST_BYTES_PER_TOKEN
}

fn facts(shared: &Shared, call: &Call, link: &Link) -> ModelFacts {
    let bearer = &call.spender.bearer;
    // What a virtual model stands for is the word of whoever configured it; what was asked for is checked before.
    let is_allowed = link.kind == Kind::Asked
        || shared.routing.is_own_name(&call.model)
        || bearer.rights.models.allows(&link.key);
    if link.service.is_chutes() {
        let facts = shared.catalogue.facts(&link.model, || shared.terms());
        return ModelFacts { is_forbidden: !is_allowed, ..facts };
    }
    // Nothing there is covered by a plan, so it is not for those who may not spend.
    let may_pay = bearer.policy.paygo != Paygo::Never || link.service.is_free(&link.model);
    // What has no price would use up nothing of a budget, of the provider or of the bearer.
    let is_bounded = link.service.is_bounded
        || bearer.rights.limits.counts_dollars()
        || bearer.policy.daily_bound().is_some();
    ModelFacts {
        is_forbidden: !(is_allowed && may_pay),
        is_uncounted: is_bounded && !link.service.has_price(&link.model),
        ..link.service.facts(&link.model)
    }
}
