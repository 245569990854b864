# One image with the three programs; docker-compose.yml says which of them a container runs.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    SQLX_OFFLINE=true cargo build --locked --release --workspace --bins \
    && mkdir /programs \
    && cp target/release/vtoc target/release/vtoc-api target/release/vtoc-worker /programs/

FROM debian:bookworm-slim
# curl and pgrep are for the health checks.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates curl procps \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin vtoc
COPY --from=build /programs/ /usr/local/bin/
USER 10001:10001
CMD ["vtoc", "--help"]
