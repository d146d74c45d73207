use chutes_emulator::{Fault, FaultKind, StateSpec};
use ripcord_client::chutes::ChatStream;
use ripcord_client::error::{Blame, Error, ErrorKind};
use ripcord_client::transport::{TransportErrorKind, TransportPhase};
use ripcord_rules::cause::Cause;

use super::*;

const MODEL: &str = "Qwen/Qwen3-32B-TEE";

async fn read(stream: &mut ChatStream) -> (String, Option<Error>) {
    let mut text = String::new();
    let mut error = None;
    while let Some(next) = in_time(stream.next()).await {
        match next {
            Ok(chunk) => text.extend(chunk.choices.iter().filter_map(|choice| choice.delta.text())),
            Err(broken) => error = Some(broken),
        }
    }
    (text, error)
}

async fn streamed(emulator: &Running) -> Result<(String, Option<Error>), Error> {
    let chutes = client(&emulator.url()).with_key(key("pro", 1));
    let mut stream = in_time(chutes.chat_stream(chat(MODEL, true))).await?;
    Ok(read(&mut stream).await)
}

#[tokio::test]
async fn a_chat_is_answered_in_one_piece_and_in_many() {
    let emulator = emulator().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 1));
    let whole = in_time(chutes.chat(chat(MODEL, false))).await.unwrap();
    let text = whole.value.choices[0].message.text().unwrap();
    assert!(!text.is_empty());
    assert_eq!(whole.limits.chutes_quota.unwrap().total, Some(5000));
    let mut stream = in_time(chutes.chat_stream(chat(MODEL, true))).await.unwrap();
    assert!(stream.limits().invocation_id.is_some());
    let (streamed, error) = read(&mut stream).await;
    assert!(error.is_none() && !streamed.is_empty());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_stream_never_looks_whole_when_it_is_not() {
    let cases = [
        (FaultKind::BareJsonError, Cause::BrokenStream),
        (FaultKind::ErrorMidStream, Cause::BrokenStream),
        (FaultKind::EndsEarly, Cause::BrokenStream),
        (FaultKind::MalformedEvent, Cause::BrokenStream),
        (FaultKind::Restart, Cause::BrokenStream),
        (FaultKind::EmptyStream, Cause::Transient),
        (FaultKind::ErrorFirstEvent, Cause::Transient),
    ];
    for (kind, cause) in cases {
        let emulator = emulator().await;
        emulator.control().add_model_fault(MODEL, Fault::new(kind).after_chunks(3)).unwrap();
        // A 200 without one event may be taken back by the server: then the call itself fails.
        let error = match streamed(&emulator).await {
            Ok((_, error)) => error.unwrap_or_else(|| panic!("{kind:?} looked whole")),
            Err(error) => error,
        };
        assert!(
            matches!(error.cause(), Some(found) if found == cause),
            "{kind:?}: {error} {:?}",
            error.cause()
        );
        assert!(matches!(error.blame(), Blame::Chutes | Blame::You), "{kind:?}");
    }
}

#[tokio::test]
async fn a_stream_that_only_lacks_its_done_is_whole() {
    let emulator = emulator().await;
    emulator.control().add_model_fault(MODEL, Fault::new(FaultKind::MissingDone)).unwrap();
    let (text, error) = streamed(&emulator).await.unwrap();
    assert!(error.is_none() && !text.is_empty());
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_transport_error_after_the_text() {
    for kind in [FaultKind::Cut, FaultKind::Reset] {
        let emulator = emulator().await;
        emulator.control().add_model_fault(MODEL, Fault::new(kind).after_chunks(3)).unwrap();
        let (text, error) = streamed(&emulator).await.unwrap();
        let error = error.unwrap();
        let ErrorKind::Transport(below) = error.kind() else { panic!("{kind:?}: {error}") };
        assert_eq!((below.phase(), below.is_timeout()), (TransportPhase::Body, false));
        assert!(error.retryable() && !text.is_empty(), "{kind:?}");
    }
}

#[tokio::test]
async fn refusals_say_what_they_mean() {
    let cases = [
        (FaultKind::Capacity, Cause::Capacity, Blame::Chutes, true),
        (FaultKind::EdgeRateLimit, Cause::EdgeRateLimit, Blame::Network, true),
        (FaultKind::EdgeForbidden, Cause::EdgeBlock, Blame::Network, true),
        (FaultKind::Cold, Cause::Cold, Blame::Chutes, true),
        (FaultKind::Disabled, Cause::Disabled, Blame::Chutes, false),
        (FaultKind::ServerError, Cause::Transient, Blame::Chutes, true),
        (FaultKind::NoInfrastructure, Cause::Transient, Blame::Chutes, true),
        (FaultKind::PlainServerError, Cause::Transient, Blame::Chutes, true),
        (FaultKind::ContextTooLong, Cause::ContextTooLong, Blame::You, false),
    ];
    for (kind, cause, blame, retryable) in cases {
        let emulator = emulator().await;
        emulator.control().add_model_fault(MODEL, Fault::new(kind)).unwrap();
        let chutes = client(&emulator.url()).with_key(key("pro", 1));
        for stream in [false, true] {
            let body = chat(MODEL, stream);
            let error = if stream {
                in_time(chutes.chat_stream(body)).await.unwrap_err()
            } else {
                in_time(chutes.chat(body)).await.unwrap_err()
            };
            let found = (error.cause(), error.blame(), error.retryable());
            assert_eq!(found, (Some(cause), blame, retryable), "{kind:?}: {error}");
        }
    }
}

#[tokio::test]
async fn accounts_without_room_are_told_from_models_without_room() {
    let emulator = emulator().await;
    let refused = async |account: &str, model: &str| {
        let chutes = client(&emulator.url()).with_key(key(account, 1));
        in_time(chutes.chat(chat(model, false))).await.unwrap_err()
    };
    let broke = refused("paygo", MODEL).await;
    assert!(matches!(broke.cause(), Some(Cause::WindowUsedUp(Some(_)))), "{broke}");
    assert_eq!(broke.failure().unwrap().reset_at, None, "quota 0 turns never");
    let used_up = {
        emulator.control().set_used_units("base", 300.0).unwrap();
        refused("base", MODEL).await
    };
    assert!(used_up.failure().unwrap().reset_at.is_some(), "{used_up}");
    let no_tee = refused("legacy", MODEL).await;
    assert_eq!(no_tee.cause(), Some(Cause::NotEntitled), "{no_tee}");
    emulator.control().set_model_state(MODEL, StateSpec::Cold).unwrap();
    // The account comes first: a broke account does not learn that the model is cold.
    assert_eq!(refused("pro", MODEL).await.cause(), Some(Cause::Cold));
    assert!(matches!(refused("paygo", MODEL).await.cause(), Some(Cause::WindowUsedUp(_))));
    assert_eq!(refused("pro", "no/such").await.cause(), Some(Cause::ModelNotFound));
}

#[tokio::test]
async fn silence_and_resets_before_the_answer() {
    let emulator = emulator().await;
    let mut settings = ripcord_client::chutes::ChutesSettings::default();
    settings.transport.first_byte = std::time::Duration::from_millis(50);
    let chutes = client(&emulator.url()).with_key(key("pro", 1)).with_settings(settings);
    let control = emulator.control();
    control.add_model_fault(MODEL, Fault::new(FaultKind::Silent).times(1)).unwrap();
    let error = in_time(chutes.chat_stream(chat(MODEL, true))).await.unwrap_err();
    let ErrorKind::Transport(silent) = error.kind() else { panic!("{error}") };
    assert_eq!((silent.phase(), silent.is_timeout()), (TransportPhase::FirstByte, true));
    control.add_model_fault(MODEL, Fault::new(FaultKind::ResetBeforeHeaders).times(1)).unwrap();
    let error = in_time(chutes.chat_stream(chat(MODEL, true))).await.unwrap_err();
    let ErrorKind::Transport(reset) = error.kind() else { panic!("{error}") };
    assert!(
        matches!(reset.kind(), TransportErrorKind::Reset | TransportErrorKind::Closed),
        "{reset}"
    );
    assert_eq!(reset.phase(), TransportPhase::FirstByte);
}

#[tokio::test]
async fn a_stream_that_is_dropped_costs_nothing() {
    let emulator = emulator().await;
    let chutes = client(&emulator.url()).with_key(key("pro", 1));
    let fault = Fault::new(FaultKind::Stall).after_chunks(2);
    emulator.control().add_model_fault(MODEL, fault).unwrap();
    let mut stream = in_time(chutes.chat_stream(chat(MODEL, true))).await.unwrap();
    in_time(stream.next()).await.unwrap().unwrap();
    drop(stream);
    in_time(async {
        while emulator
            .control()
            .log()
            .iter()
            .all(|entry| entry.ended != Some(chutes_emulator::Ended::ClientLeft))
        {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(emulator.control().account("pro").unwrap().day_milli_units, 0);
}
