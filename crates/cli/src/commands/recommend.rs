//! `ripcord recommend`: stay with a model or switch to a variant of it; or the best for a purpose. The decisions are
//! `ripcord_rules::recommend`; here they are fed with figures, and put into words.

mod page;
mod report;
mod speed;
mod words;

use ripcord_rules::recommend::score::mixed_price;
use ripcord_rules::recommend::{
    Advice, Candidate, Kinship, ModelName, Needs, Offer, Pattern, Score, Standing, Weigh, advise,
    ranked,
};

use crate::args::{Purpose, RecommendArguments};
use crate::catalogue::{Catalogue, Entry};
use crate::commands::model_health::not_found;
use crate::commands::models::filter::feature_word;
use crate::context::Context;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::upstream::{Upstream, note};
pub(crate) use report::RecommendReport;
use speed::{Measured, Speeds};

/// A model to choose from, with all that is known of it.
#[derive(Debug)]
struct Choice<'c> {
    entry: &'c Entry,
    candidate: Candidate,
    /// Its place among the favourites of the purpose, from 0.
    place: Option<usize>,
    measured: Option<&'c Measured>,
}

/// Everything that was weighed, and what came of it.
#[derive(Debug)]
struct Recommendation<'c> {
    choices: Vec<Choice<'c>>,
    /// The model in use, among the choices.
    current: Option<usize>,
    purpose: Option<Purpose>,
    privacy: Privacy,
    advice: Advice,
    /// What may be recommended, best first.
    ranked: Vec<(usize, Score)>,
}

/// Why only models in a trusted execution environment are recommended, if so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privacy {
    Open,
    /// `--tee`, or the purpose.
    Asked,
    /// The model in use is one.
    LikeCurrent,
    /// All models under `models.watch` are.
    LikeWatched,
}

/// Reads the lists and the speeds, weighs, and says what to do.
pub(crate) async fn run(
    arguments: &RecommendArguments,
    context: &Context,
) -> Result<Exit, CommandError> {
    let upstream = Upstream::new(context)?;
    let ((lists, mut problems), (speeds, slow)) =
        tokio::join!(upstream.lists(), Speeds::read(&upstream, context));
    if lists.models.is_none() && lists.chutes.is_none() {
        return Err(problems
            .into_iter()
            .next()
            .unwrap_or_else(|| CommandError::unknown("the catalogue could not be read")));
    }
    let by_models = lists.models.is_some();
    let catalogue = Catalogue::join(lists, context.now());
    let current = match &arguments.model {
        None => None,
        Some(wanted) => Some(catalogue.find(wanted).map_err(|miss| match problems.first() {
            Some(problem) => problem.clone(),
            None => not_found(wanted, &miss),
        })?),
    };
    if let Some(problem) = slow {
        note(&mut problems, problem);
    }
    let recommendation = weigh(&catalogue, by_models, current, arguments, &speeds, context);
    let report = report::report(&recommendation, &problems, context);
    context.printer.answer(&report, || page::page(&recommendation, &report))?;
    for problem in &problems {
        context.printer.error(problem);
    }
    Ok(match recommendation.advice {
        Advice::Stay | Advice::Switch(_) | Advice::Use(_) => Exit::Done,
        Advice::Nothing => Exit::No,
        Advice::Unknown => Exit::Unknown,
    })
}

fn weigh<'c>(
    catalogue: &'c Catalogue,
    by_models: bool,
    current: Option<&'c Entry>,
    arguments: &RecommendArguments,
    speeds: &'c Speeds,
    context: &Context,
) -> Recommendation<'c> {
    let settings = arguments.purpose.map(|purpose| context.settings.recommend.of(purpose));
    let asked = arguments.tee || settings.is_some_and(|settings| settings.tee.value);
    let privacy = privacy(asked, arguments.allow_plain, current, catalogue, context);
    let needs = Needs {
        tee: privacy != Privacy::Open,
        features: settings
            .map(|settings| settings.features.value.iter().map(|word| feature_word(word)).collect())
            .unwrap_or_default(),
        max_price_out: settings.and_then(|settings| settings.max_price.value),
        prefer: settings
            .map(|settings| settings.prefer.value.iter().map(|text| Pattern::new(text)).collect())
            .unwrap_or_default(),
        others: settings.is_none_or(|settings| settings.others.value),
    };
    // The model in use may be known for what it is by its name alone, which is no reason to leave it.
    let own_needs = Needs { tee: privacy == Privacy::Asked, ..needs.clone() };
    let weigh = settings.map_or(Weigh::default(), |settings| settings.weigh.value);
    let own_name = current.map(|entry| ModelName::read(&entry.name));
    let kinship = |entry: &Entry| own_name.as_ref()?.kinship(&ModelName::read(&entry.name));
    let is_current = |entry: &Entry| current.is_some_and(|current| current.name == entry.name);
    let choices: Vec<Choice<'c>> = catalogue
        .entries
        .iter()
        // Only what Chutes itself lists is recommended: in the other list anybody may take any name.
        .filter(|entry| is_current(entry) || entry.model.is_some() || !by_models)
        .filter(|entry| settings.is_some() || kinship(entry).is_some())
        .map(|entry| {
            let needs = if is_current(entry) { &own_needs } else { &needs };
            choice(entry, kinship(entry), needs, speeds)
        })
        // What is left out is told only of those that somebody would look for.
        .filter(|choice| {
            let is_looked_for = choice.place.is_some() || choice.candidate.kinship.is_some();
            choice.candidate.misfit.is_none() || is_looked_for
        })
        .collect();
    let current = choices.iter().position(|choice| is_current(choice.entry));
    let candidates: Vec<Candidate> =
        choices.iter().map(|choice| choice.candidate.clone()).collect();
    Recommendation {
        advice: advise(&candidates, current, weigh),
        ranked: ranked(&candidates, weigh),
        choices,
        current,
        purpose: arguments.purpose,
        privacy,
    }
}

/// A user of a model in a trusted execution environment is never sent to one outside, unless they ask for it. Where the
/// lists do not say what the model is, its name does.
fn privacy(
    asked: bool,
    allow_plain: bool,
    current: Option<&Entry>,
    catalogue: &Catalogue,
    context: &Context,
) -> Privacy {
    let is_private =
        |entry: &Entry| entry.tee().unwrap_or_else(|| ModelName::read(&entry.name).tee);
    let watched = &context.settings.models.watch.value;
    let watches_private_only = || {
        !watched.is_empty()
            && watched.iter().all(|name| {
                catalogue.find(name).map_or_else(|_| ModelName::read(name).tee, is_private)
            })
    };
    match current {
        _ if asked => Privacy::Asked,
        _ if allow_plain => Privacy::Open,
        Some(entry) if is_private(entry) => Privacy::LikeCurrent,
        None if watches_private_only() => Privacy::LikeWatched,
        _ => Privacy::Open,
    }
}

fn choice<'c>(
    entry: &'c Entry,
    kinship: Option<Kinship>,
    needs: &Needs,
    speeds: &'c Speeds,
) -> Choice<'c> {
    let features = entry.model.as_ref().and_then(|model| model.supported_features.as_deref());
    let offer =
        Offer { name: &entry.name, tee: entry.tee(), features, price_out: entry.price_out() };
    let measured = speeds.of(&entry.name, entry.chute_id.as_deref());
    let standing = Standing {
        price: mixed_price(entry.price_in(), entry.price_out()),
        speed: measured.map(|measured| measured.speed).unwrap_or_default(),
        // Without a list of favourites the same release is the favourite: it gives the answers that its user knows.
        preference_permille: match (needs.prefer.is_empty(), kinship) {
            (true, Some(Kinship::Itself | Kinship::SameRelease)) => 1_000,
            _ => needs.preference_permille(&entry.name),
        },
        ..Standing::of(entry.state, &entry.evidence)
    };
    Choice {
        entry,
        candidate: Candidate { standing, kinship, misfit: needs.admit(&offer).err() },
        place: needs.place(&entry.name),
        measured,
    }
}
