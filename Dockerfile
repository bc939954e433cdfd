# A worker on a CUDA base image: the same package, installed the same way as `make setup` does it. The stages of this
# version compute on its CPU.
FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1

# Open3D needs libusb, libGL, libEGL and libX11 when it is imported.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      make python3 python3-venv libusb-1.0-0 libgl1 libegl1 libx11-6 libgomp1 \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/studio
COPY pyproject.toml constraints.txt Makefile README.md LICENSE ./
COPY studio_pipeline ./studio_pipeline
COPY assets ./assets
COPY dagster.yaml workspace.yaml ./
# Only these two: beside them lie the passwords of whoever builds.
COPY deploy/dagster.yaml deploy/workspace.yaml ./deploy/
RUN make setup

ENV PATH=/opt/studio/.venv/bin:$PATH \
    STUDIO_ASSETS=/opt/studio/assets \
    STUDIO_HOME=/var/lib/studio
# deploy is a farm's DAGSTER_HOME; Dagster makes folders in it.
RUN useradd --create-home --uid 10001 studio && install -d -o studio -g studio /var/lib/studio \
 && chown studio:studio /opt/studio/deploy
USER 10001
VOLUME /var/lib/studio
# No entry point: Dagster's launchers start `dagster api ...` in the same image.
CMD ["studio", "--help"]
