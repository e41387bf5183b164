# A machine in a container: docker build -f containers/agent.Dockerfile .
#   docker run --init -v iocloud-agent:/var/lib/iocloud-agent IMAGE --control-plane https://iocloud.example
# Not root it keeps leases apart by Ray's token alone (docs/isolation.md); machines of several tenants run the agent itself.
ARG NODE_IMAGE=docker.io/library/node:20.20.2-bookworm-slim
ARG PYTHON_IMAGE=docker.io/library/python:3.12.12-slim-bookworm

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY . .
RUN npm ci
RUN npx tsc -b worker-bootstrap \
 && node -e "import('./scripts/agent-release.mjs').then(m => m.packAgent(process.cwd()))" \
 && tar -xzf worker-bootstrap/release/*.tgz -C /opt

FROM ${PYTHON_IMAGE} AS ray
COPY python/ray.lock /tmp/
RUN python3 -m venv /opt/ray \
 && /opt/ray/bin/pip install --no-cache-dir --require-hashes -r /tmp/ray.lock \
 # Byte code now, or every start would make it anew.
 && /opt/ray/bin/python -m compileall -q /opt/ray/lib

FROM ${PYTHON_IMAGE}
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /opt/iocloud-agent /opt/iocloud-agent
COPY --from=ray /opt/ray /opt/ray
RUN mkdir /var/lib/iocloud-agent && chown 10001:10001 /var/lib/iocloud-agent && chmod 700 /var/lib/iocloud-agent
# Its key and its leases: the machine is a new one without it.
VOLUME /var/lib/iocloud-agent
USER 10001:10001
ENV HOME=/var/lib/iocloud-agent
ENTRYPOINT ["node", "/opt/iocloud-agent/agent/program/join.mjs", "--foreground", \
            "--dir", "/var/lib/iocloud-agent", "--ray-environment", "/opt/ray"]
