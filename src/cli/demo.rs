//! x
pub(super) async fn play() -> super::Outcome {
    Ok(())
}
