# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /src

# aws-lc and SQLite are built from the sources inside their crates with the C compiler of this image; never with a
# library that happens to be installed.
ENV AWS_LC_SYS_USE_SYSTEM=0

# Dependencies first, against empty crates of ours: this layer is built anew only when the manifests change.
COPY Cargo.toml Cargo.lock ./
COPY migration/Cargo.toml migration/
RUN mkdir -p src migration/src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs migration/src/lib.rs \
    && cargo build --release --locked --bin maskline

COPY migration migration
COPY templates templates
COPY src src
# COPY keeps the times of the files, which are older than the empty crates: without a touch cargo would see no change.
RUN touch src/main.rs src/lib.rs migration/src/lib.rs \
    && cargo build --release --locked --bin maskline

FROM debian:bookworm-slim

ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Maskline" \
      org.opencontainers.image.description="Masked calls and texts between the two people of a ride" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# Requests to providers are checked against the system's certificates.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 maskline \
    && useradd --uid 10001 --gid maskline --no-create-home --home-dir /var/lib/maskline \
        --shell /usr/sbin/nologin maskline \
    && install --directory --owner maskline --group maskline --mode 0700 /var/lib/maskline

COPY LICENSE-APACHE LICENSE-MIT /usr/share/doc/maskline/
COPY --from=build /src/target/release/maskline /usr/local/bin/maskline

# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
# The embedded database lives in ./data below this folder: mount a volume here to keep it.
WORKDIR /var/lib/maskline
ENV LISTEN_ADDR=0.0.0.0:8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=15s --retries=3 CMD ["maskline", "healthcheck"]
ENTRYPOINT ["maskline"]
