# One image for every role: `orderly` is one binary.
#
#   docker build -t orderly .
#   docker run --rm -p 127.0.0.1:8080:8080 orderly        the whole shop in one container
#   docker compose up                                     each role in a container of its own

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
COPY . .
# The registry and the target folder outlive the build, so that only what has changed is compiled
# again; the binary is copied out, since a cache is no part of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --package orderly && cp target/release/orderly /usr/local/bin/orderly

FROM debian:bookworm-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin orderly \
    && install --directory --owner orderly --mode 0700 /data
# For TLS to servers elsewhere; nothing else is needed at run time.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /usr/local/bin/orderly /usr/local/bin/orderly
USER orderly
ENV ORDERLY_LISTEN=0.0.0.0:8080 ORDERLY_GRPC_LISTEN=0.0.0.0:8081 ORDERLY_DATA_DIR=/data
VOLUME /data
EXPOSE 8080 8081
HEALTHCHECK --interval=3s --timeout=3s --start-period=20s --retries=5 CMD ["orderly", "health"]
ENTRYPOINT ["orderly"]
CMD ["up"]
