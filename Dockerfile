# The image that the steps run in on a cluster: Python, and every package at the version and hash of requirements.lock.
# LEARN's own code is not in it: each run brings its own (docs/remote.md), so one image serves until the lock changes.
#
#   docker build --tag registry.example/learn:1 .
#
# Torch's default build is for CUDA; for a machine without a GPU give pip the index of its CPU build:
#   docker build --tag registry.example/learn:1-cpu --build-arg TORCH_OPTIONS="--index-url …" .
FROM python:3.11-slim-bookworm

ARG TORCH=2.13.0
ARG TORCH_OPTIONS=""

# git: versions of the data are named by its revisions. libgomp: the threads of scikit-learn and torch.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git libgomp1 \
    && rm -rf /var/lib/apt/lists/*

COPY requirements.lock /tmp/requirements.lock
# Without dependencies, because the lock is complete; only torch is not in it (docs/supply_chain.md).
RUN pip install --no-cache-dir --require-hashes --no-deps --requirement /tmp/requirements.lock \
    && pip install --no-cache-dir $TORCH_OPTIONS "torch==$TORCH" \
    && pip check \
    && rm /tmp/requirements.lock

# Metaflow would otherwise ask the package index for boto3 and requests at the start of every pod; the lock holds both.
ENV METAFLOW_SKIP_INSTALL_DEPENDENCIES=1 \
    PYTHONDONTWRITEBYTECODE=1

# Nobody needs root to train.
RUN useradd --create-home --uid 1000 learn
USER learn
WORKDIR /home/learn
