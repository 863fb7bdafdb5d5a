/** The text of docs/s3.md: the requests that are sent and the rights that they take, from their declaration. */
import { S3_REQUESTS, type S3Right } from '../store/s3/actions.ts';

const INTRODUCTION = `# S3: requests, rights, retries

<!-- Written by \`npm run generate\` from src/tools/s3-docs.ts and src/store/s3/actions.ts; changes here are lost. -->

The policy that follows from this table is in [install.md](install.md#4-the-bucket). A test runs \`check --online\`, a run,
\`list\`, \`verify\` and \`restore\` against a server that refuses everything else.

## Requests and rights

What works without a right says so once in the log, and goes on.
`;

const PLACES: Record<S3Right['on'], string> = {
  bucket: 'the bucket',
  objects: 'all objects below the prefix',
  journal: '`*/_pgsluice/*` below the prefix',
};

const MORE = `
Destinations with \`tags\` need \`s3:PutObjectTagging\` besides, those with \`serverSideEncryption: aws:kms\` need
\`kms:GenerateDataKey\` and \`kms:Decrypt\` on the key, and those with \`objectLock\` need \`s3:PutObjectRetention\`. Without \`s3:ListBucket\`, S3 answers 403 for an object that is absent;
pgsluice then asks which of the two rights is missing, and names that one.
`;

const RETRIES = `
## Retries

One policy in two halves; the AWS SDK itself tries each request once.

- **A request** that fails as \`server-error\`, \`throttled\`, \`connection-refused\`, \`connection-lost\` or \`dns\` is sent up to three
  times, with pauses of a fraction of a second, or about a second where the server asks for fewer. One that is not
  answered within a minute (\`timeout\`) is sent twice.
- **What the request was part of** (a segment, the commit, the look at what is there) is tried again after that: from the
  first failure on for \`retry.for\` (15 minutes), and at most \`retry.attempts\` times, with pauses from \`retry.backoff\` (2 s) up
  to a minute. So a burst of 503 SlowDown, or a server that is started again, passes. A destination that does not answer
  at all has a fifth of that time: it fails after some minutes. Credentials that are over are asked for anew once, and then fail.
- After that the run has failed. The daemon begins it again, from its receipts, after 1, 2, 4 minutes and so on up to an hour.
`;

const VERSIONS = `
## Versions and Object Lock

In a bucket with versions, what pgsluice writes in the place of something, or removes, stays as a noncurrent version, and what
it removes gets a delete marker. That is the journal of each run (\`_pgsluice/\` in its folder: the plan, which is written a few
times, and the receipts) and the probe of \`check --online\`. A data object has one version, unless its segment was tried again. These rules
remove what is left; the second one takes markers that have nothing below them any more:

\`\`\`json
{
  "Rules": [
    {
      "ID": "versions-of-journals",
      "Status": "Enabled",
      "Filter": { "Prefix": "pg/" },
      "NoncurrentVersionExpiration": { "NoncurrentDays": 7 }
    },
    {
      "ID": "markers-and-unfinished-uploads",
      "Status": "Enabled",
      "Filter": { "Prefix": "pg/" },
      "Expiration": { "ExpiredObjectDeleteMarker": true },
      "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": 7 }
    }
  ]
}
\`\`\`

\`NoncurrentDays\` must be longer than a version of the data is to be kept after somebody has removed or replaced it by hand.

With **Object Lock**, a version that is held cannot be removed or changed until its time has come. A destination with
\`objectLock: { mode, retain }\` has data objects and manifests held from the moment they are written, and nothing else: journals,
\`_head.json\`, \`_verified.json\`, \`_purge.json\` and \`_restored.json\` are written again, or removed. In a bucket with a default retention
they are held, too: removing them adds a marker, writing them again a version, and what was there stays for the retention, as
\`check --online\` says. Both work together; what a request says itself counts. [trust.md](trust.md#object-lock-nobody-can-remove-it) says
what a hold shows, and what it costs.

- Such a bucket demands a checksum with each part: \`checksums\` must be \`when-supported\`.
- \`check --online\` begins an upload that is held and aborts it, as anything that it wrote would stay.
- A segment that was tried again replaces its object: the former version stays, held, until its time has come; so does what a run
  wrote that is never committed. An upload that was never completed is held by nobody, and aborted as ever.
- Conditions of writes look at the latest version. Behind a delete marker a key is free: what somebody has removed there can be
  written anew, and the version that was held is still below.
- A lifecycle rule hides data that is held behind a marker, and removes it when nothing holds it any more: \`mayExpireAfter\` that is shorter
  than \`retain\` saves nothing, and is a warning.
- A server that passes over what CreateMultipartUpload says of a hold gets it from PutObjectRetention right after.
`;

/** The whole document, before it is formatted. */
export function buildS3Docs(): string {
  const rows = Object.entries(S3_REQUESTS).map(([name, right]: [string, S3Right]) =>
    [name, `\`${right.action}\``, PLACES[right.on], right.for, right.without ?? 'nothing works'].join(' | '),
  );
  const head = ['| request | right | on | for | without it |', '| --- | --- | --- | --- | --- |'];
  return [INTRODUCTION, ...head, ...rows.map((row) => `| ${row} |`), MORE, RETRIES, VERSIONS].join('\n');
}
