# One image for hub and node agents: the same sources, another entry point. Built pages are inside.
# Another base, for instance the hospital's own: --build-arg NODE_IMAGE=… It needs Node.js ≥ 20.19 with npm, apt, and a user `node`.
ARG NODE_IMAGE=node:22-bookworm-slim
FROM ${NODE_IMAGE} AS build
# sqlite3 compiles itself where no prebuilt binary fits or can be fetched; Node's headers are in the image already.
ENV npm_config_nodedir=/usr/local
RUN apt-get update && apt-get install -y --no-install-recommends python3 make g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /lianpian
COPY package.json package-lock.json .npmrc ./
COPY specs/package.json specs/
COPY pki/package.json pki/
COPY service-kit/package.json service-kit/
COPY page-kit/package.json page-kit/
COPY hub/package.json hub/
COPY node-agent/package.json node-agent/
COPY node-agent/desk/package.json node-agent/desk/
COPY viewer/package.json viewer/
COPY regional-console/package.json regional-console/
RUN npm install --no-save --no-audit --no-fund
COPY . .
RUN node scripts/build-pages.mjs && npm prune --omit=dev --no-audit --no-fund

FROM ${NODE_IMAGE}
ENV NODE_ENV=production
# A font with Chinese, for the watermark on exported pictures.
RUN apt-get update && apt-get install -y --no-install-recommends fontconfig fonts-wqy-microhei && rm -rf /var/lib/apt/lists/*
WORKDIR /lianpian
# Owned by root: what runs cannot change what will run next.
COPY --from=build /lianpian /lianpian
# Data lives in volumes; the process owns nothing else and is not root. A new volume takes its owner from the folder it is
# mounted on, so those of nats-server are here too.
RUN mkdir -p /data/nats /data/nats-store && chown -R node:node /data
USER node
VOLUME /data
HEALTHCHECK --interval=10s --timeout=3s --start-period=40s --retries=6 \
  CMD node -e "fetch('http://127.0.0.1:' + process.env.HEALTH_PORT + '/health').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"
# Why these two options: scripts/region/service-process.ts.
ENTRYPOINT ["node", "--single-threaded-gc", "--initial-old-space-size=512", "--import", "tsx"]
