/**
 * Every request that is sent to S3, and the right that it takes. The hints of refusals name the right by this table, and
 * docs/s3.md has it with the policy that follows from it.
 */

export interface S3Right {
  /** As a policy calls it. */
  action: string;
  /** What it is needed on: the bucket itself, all objects, or only those beside the data. */
  on: 'bucket' | 'objects' | 'journal';
  /** What takes the request. */
  for: string;
  /** What is different without it; absent where nothing works without it. */
  without?: string;
}

/** By the name of the request. */
export const S3_REQUESTS = {
  ListObjectsV2: {
    action: 's3:ListBucket',
    on: 'bucket',
    for: 'a run, list, verify, restore',
  },
  HeadObject: {
    action: 's3:GetObject',
    on: 'objects',
    for: 'a run, verify, restore, the check of readiness; S3 has no right of its own for it',
  },
  GetObject: {
    action: 's3:GetObject',
    on: 'objects',
    for: 'a run (journal and manifest), list, verify, restore',
  },
  PutObject: {
    action: 's3:PutObject',
    on: 'objects',
    for: "a run: data of one part, journal, manifest; a restore into the run's own table",
  },
  CreateMultipartUpload: { action: 's3:PutObject', on: 'objects', for: 'a run: data of several parts' },
  UploadPart: { action: 's3:PutObject', on: 'objects', for: 'a run: data of several parts' },
  CompleteMultipartUpload: { action: 's3:PutObject', on: 'objects', for: 'a run: data of several parts' },
  PutObjectRetention: {
    action: 's3:PutObjectRetention',
    on: 'objects',
    for: 'a run, where the destination has `objectLock`: data and manifests that are held; each request that writes one takes the right',
  },
  GetObjectRetention: {
    action: 's3:GetObjectRetention',
    on: 'objects',
    for: 'verify and audits, where objects are held: until when; HeadObject tells it only with this right',
    without: 'they cannot say until when objects are held',
  },
  AbortMultipartUpload: {
    action: 's3:AbortMultipartUpload',
    on: 'objects',
    for: 'a run: uploads that failed, or that a dead run left',
    without: 'their parts stay, and cost, until a lifecycle rule of the bucket removes them',
  },
  ListMultipartUploads: {
    action: 's3:ListBucketMultipartUploads',
    on: 'bucket',
    for: 'a run, the start of the daemon: uploads that a dead run left',
    without: 'they are not found, and stay until a lifecycle rule of the bucket removes them',
  },
  DeleteObjects: {
    action: 's3:DeleteObject',
    on: 'journal',
    for: 'a run: its journal, after the commit',
    without: 'the journal of each committed run stays; it does no harm',
  },
  DeleteObject: {
    action: 's3:DeleteObject',
    on: 'journal',
    for: 'the same, where a server refuses DeleteObjects; the probe of check --online',
    without: 'the same, and each probe stays, with a warning that names it',
  },
  GetBucketVersioning: {
    action: 's3:GetBucketVersioning',
    on: 'bucket',
    for: 'check --online',
    without: 'it cannot say whether the bucket keeps versions',
  },
  GetObjectLockConfiguration: {
    action: 's3:GetBucketObjectLockConfiguration',
    on: 'bucket',
    for: 'check --online',
    without: 'it cannot say whether the bucket has Object Lock',
  },
  GetBucketLifecycleConfiguration: {
    action: 's3:GetLifecycleConfiguration',
    on: 'bucket',
    for: 'check --online',
    without: 'it cannot say whether a rule aborts unfinished uploads',
  },
} as const satisfies Record<string, S3Right>;

export type S3Request = keyof typeof S3_REQUESTS;
