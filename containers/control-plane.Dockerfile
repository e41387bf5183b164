# The control plane: docker build -f containers/control-plane.Dockerfile .
ARG NODE_IMAGE=docker.io/library/node:20.20.2-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY . .
RUN npm ci
RUN npx tsc -b control-plane worker-bootstrap \
 && node -e "import('./scripts/agent-release.mjs').then(m => m.packAgent(process.cwd()))"
# What runs needs no compiler and no tests.
RUN rm -rf node_modules \
 && npm ci --omit=dev --workspace @iocloud/control-plane --workspace @iocloud/contracts \
 && find contracts/dist control-plane/dist \( -name '*.test.*' -o -name '*.d.ts' -o -name '.tsbuildinfo' \) -delete

FROM ${NODE_IMAGE}
ENV NODE_ENV=production
WORKDIR /opt/iocloud
COPY --from=build /src/node_modules node_modules
COPY --from=build /src/contracts/package.json contracts/
COPY --from=build /src/contracts/dist contracts/dist
COPY --from=build /src/control-plane/package.json control-plane/
COPY --from=build /src/control-plane/migrations control-plane/migrations
COPY --from=build /src/control-plane/dist control-plane/dist
COPY --from=build /src/worker-bootstrap/release worker-bootstrap/release
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8265 8266
# --max-semi-space-size: what a busy one makes for a moment is gone before it has to be moved (cli/src/up/up.ts).
CMD ["node", "--enable-source-maps", "--max-semi-space-size=32", "control-plane/dist/main.js"]
