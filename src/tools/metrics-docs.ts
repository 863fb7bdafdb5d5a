/** The text of docs/metrics.md, from the declarations of the metrics. */
import { METRICS, type MetricDeclaration } from '../daemon/view/metrics.ts';

const INTRODUCTION = `# Metrics

<!-- Written by \`npm run generate\` from src/daemon/view/metrics.ts; changes here are lost. -->

The daemon serves them at \`/metrics\` of \`http.listen\`, in the text format of Prometheus. A scraper that asks by another
name than that of the loopback needs that name in \`http.hosts\`:

\`\`\`yaml
http: { listen: 0.0.0.0:8432, hosts: [archive.internal] }
\`\`\`

[alerts.yml](../config/alerts.yml) has rules for Prometheus, and [grafana-dashboard.json](../config/grafana-dashboard.json)
a dashboard. Counters begin at zero with each start of the daemon; what must outlive that (\`last_success\`, \`failing\`, the
due slot) comes from the history and from the destination.

No label has values without a bound: \`archive\` is a name of the config, \`reason\` a code of [errors.md](errors.md) or one of a
few words, \`slot\` a worker thread.

Beside these there are Node's own, as prom-client has them: \`process_resident_memory_bytes\`, \`process_cpu_seconds_total\`,
\`process_open_fds\`, \`nodejs_external_memory_bytes\`, \`nodejs_heap_size_used_bytes\` (of the main thread),
\`nodejs_eventloop_lag_p99_seconds\` and others.
`;

/** The whole document, before it is formatted. */
export function buildMetricsDocs(): string {
  const rows = METRICS.map(({ name, kind, labels, help }: MetricDeclaration) =>
    [`\`${name}\``, kind, labels.map((label) => `\`${label}\``).join(', '), help].join(' | '),
  );
  const head = ['| metric | type | labels | meaning |', '| --- | --- | --- | --- |'];
  return [INTRODUCTION, ...head, ...rows.map((row) => `| ${row} |`)].join('\n');
}
