# Two stages: the first builds the Debian package, the second contains only the package and its dependencies. For another
# platform (linux/amd64, linux/arm64) the first runs on the platform of the build and cross-builds.
#
#   docker build -t iperf3-exporter --build-arg REVISION=$(git rev-parse --short=12 HEAD) .
#   docker run --read-only --cap-drop=ALL --security-opt no-new-privileges -p 9579:9579 iperf3-exporter --probe.allow-target=iperf.example.org
FROM --platform=$BUILDPLATFORM debian:bookworm-slim AS build
ARG TARGETARCH
WORKDIR /src
# The build dependencies are a separate layer, because the sources change more often.
COPY Makefile ./
COPY .ci/install-packages .ci/cross-sysroot .ci/
RUN apt-get update && apt-get install -y --no-install-recommends make && make package-needs ARCH="$TARGETARCH"
COPY . ./
ARG REVISION=unknown
RUN make package ARCH="$TARGETARCH" REVISION="$REVISION"

FROM debian:bookworm-slim
ARG REVISION=unknown
LABEL org.opencontainers.image.title="iperf3_exporter" \
      org.opencontainers.image.description="Prometheus exporter for iperf3" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="$REVISION"
# A fixed user ID, so that Kubernetes can check runAsNonRoot and containers can share the lock.
RUN groupadd --system --gid 9579 iperf3-exporter && \
    useradd --system --uid 9579 --gid 9579 --no-create-home --home-dir / --shell /usr/sbin/nologin iperf3-exporter
# apt installs the dependencies of the package. systemd itself is not needed, only systemd-sysusers.
RUN --mount=type=bind,from=build,source=/src/build/package,target=/package \
    apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      systemd-standalone-sysusers /package/iperf3-exporter_*.deb && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
# For --state.directory: keep it in a volume, as in `-v iperf3-exporter-state:/var/lib/iperf3-exporter`.
RUN install -d -o 9579 -g 9579 -m 0700 /var/lib/iperf3-exporter
USER 9579:9579
# For iperf3's stream buffer: the only writable directory with --read-only.
VOLUME /tmp
EXPOSE 9579
# Set HEALTH_PORT if you change the port. With TLS, disable this check (--no-healthcheck) and let the orchestrator
# check.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${HEALTH_PORT:-9579} && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && read -r _ status _ <&3 && [ \"$status\" = 200 ]"]
ENTRYPOINT ["/usr/bin/iperf3_exporter"]
