# The operator: docker build -f containers/ray-operator.Dockerfile .
ARG NODE_IMAGE=docker.io/library/node:20.20.2-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY . .
RUN npm ci
RUN npx tsc -b ray-operator
# What runs needs no compiler and no tests.
RUN rm -rf node_modules \
 && npm ci --omit=dev --workspace @iocloud/ray-operator \
 && find ray-operator/dist \( -name '*.test.*' -o -name '*.d.ts' -o -name '.tsbuildinfo' \) -delete

FROM ${NODE_IMAGE}
ENV NODE_ENV=production
WORKDIR /opt/iocloud
COPY --from=build /src/node_modules node_modules
COPY --from=build /src/ray-operator/package.json ray-operator/
COPY --from=build /src/ray-operator/bin ray-operator/bin
COPY --from=build /src/ray-operator/dist ray-operator/dist
# By number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8080
CMD ["node", "--enable-source-maps", "ray-operator/bin/ray-operator.js"]
