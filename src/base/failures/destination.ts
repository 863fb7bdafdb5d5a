/** Failures of the destination: S3 and its network, or a folder and its file system. */
import { DEFECT, type Declarations } from './declaration.ts';

export const DESTINATION_FAILURES = {
  'credentials-missing': {
    // The instance's metadata service and the token service have bad moments too.
    transient: true,
    meaning: 'There are no credentials for the destination.',
    hint: 'Set accessKeyId and secretAccessKey of the destination, or give the process AWS credentials: environment, profile, or an instance role.',
  },
  'credentials-expired': {
    transient: true,
    patience: 'once',
    meaning: 'The credentials of the destination were temporary, and are over.',
    hint: 'Renew the temporary credentials; a role or a profile that refreshes itself avoids this.',
  },
  'credentials-rejected': {
    transient: false,
    meaning: 'The destination does not know the access key, or the secret key does not belong to it.',
    hint: 'Check accessKeyId and secretAccessKey (no stray spaces), and that they belong to this endpoint.',
  },
  'clock-skew': {
    transient: false,
    meaning: 'The clock of this machine differs too much from that of the destination.',
    hint: "Set this machine's clock (timedatectl, chrony): it differs too much from the server's.",
  },
  'region-missing': {
    transient: false,
    meaning: 'The destination has no region.',
    hint: 'Set region of the destination.',
  },
  'region-wrong': {
    transient: false,
    meaning: 'The bucket lives in another region, or at another endpoint.',
    hint: 'Set region (and endpoint) of the destination to where the bucket lives.',
  },
  'bucket-missing': {
    transient: false,
    meaning: 'There is no such bucket.',
    hint: 'Create the bucket, or correct url of the destination.',
  },
  'object-lock-missing': {
    transient: false,
    meaning: 'The destination has objectLock, and the bucket has no Object Lock.',
    hint: 'Turn Object Lock on for the bucket: when it is created, or later where it keeps versions; or take objectLock out of the destination.',
  },
  'kms-denied': {
    transient: false,
    meaning: 'The key for encryption cannot be used.',
    hint: 'Check kmsKeyId: the key must exist, be enabled, be in the same region, and allow kms:GenerateDataKey and kms:Decrypt.',
  },
  'access-denied': {
    transient: false,
    meaning: 'The destination does not allow this request, or the file system this access.',
    hint: 'Allow what the message names: for S3 in the policies of the bucket and of the role, for a folder by its owner and mode.',
  },
  'server-error': {
    transient: true,
    meaning: 'The destination failed on its side.',
    hint: 'If it repeats, look at the status or the logs of the destination.',
  },
  throttled: {
    transient: true,
    meaning: 'The destination asks for fewer requests.',
    hint: 'The server asks for fewer requests. If it goes on: fewer segments in parallel, or a bigger partSize.',
  },
  'not-implemented': {
    transient: false,
    meaning: 'The destination lacks a part of S3.',
    hint: 'This server lacks a part of S3. Set checksums: when-required of the destination first; then leave out storageClass, tags, encryption and objectLock.',
  },
  'upload-vanished': {
    transient: true,
    meaning: 'A multipart upload was gone before it was complete.',
    hint: 'Someone aborted the upload: another host, or a lifecycle rule for incomplete uploads that is shorter than a run.',
  },
  'object-archived': {
    transient: false,
    meaning: 'An object lies in a storage class that cannot be read at once.',
    hint: 'The object is in a cold storage class: restore it there first (aws s3api restore-object).',
  },
  'part-too-small': {
    transient: false,
    meaning: 'The parts of an upload are smaller than the destination takes.',
    hint: 'Set partSize of the destination to at least 5MiB, or to what this server asks for.',
  },
  'object-too-large': {
    transient: false,
    meaning: 'An object is larger than the destination takes, or than it may be where it is read at once.',
    hint: 'Raise partSize of the destination, or lower segments.targetSize.',
  },
  'object-size-mismatch': {
    transient: true,
    meaning: 'The destination says that an upload is complete, and its object has another size.',
    hint: 'If it repeats, do not trust this server: it says that an object is finished which is not whole.',
  },
  'corrupted-in-transit': {
    transient: true,
    meaning: 'Data arrived changed, by its checksum.',
    hint: 'The data arrived changed. If it repeats, look at the network and memory of this host, or set checksums: when-required.',
  },
  conflict: {
    transient: true,
    meaning: 'Another request changed the same key at the same time.',
    hint: 'It is tried again. If it repeats, look for another process that writes to the same place.',
  },
  'precondition-failed': {
    transient: true,
    meaning: 'An object is there that must not be there yet, or it is not the one that was to be replaced.',
    hint: 'Another process, or a late request of an earlier try, has written it: look whether two processes write to the same place.',
    retried: 'yes, in the place of what is there now, as long as the run is still ours',
  },
  'object-changed': {
    transient: 'depends',
    meaning: 'An object of the run is not the one that was uploaded; nothing is committed.',
    hint: 'Look whether two processes write to the same place. Run it again with the same --run-id: what does not match its receipt is done again.',
    retried: 'yes, when that is seen right after the upload; before the commit it ends the run',
  },
  'object-missing': {
    transient: false,
    meaning: 'An object is not there.',
    hint: 'The object was removed, or never written: look at the bucket, and at its lifecycle rules.',
  },
  'connection-refused': {
    transient: true,
    meaning: 'Nothing answers where the destination, or Postgres, should be.',
    hint: 'Check that it is up, and that no firewall stands between.',
  },
  dns: {
    transient: true,
    meaning: 'The name of the endpoint, or of the host of Postgres, cannot be resolved.',
    hint: 'Check endpoint, region and bucket of the destination, and DNS. For servers without bucket subdomains set forcePathStyle: true.',
  },
  tls: {
    transient: false,
    meaning: 'The certificate of the endpoint is not trusted, or it does not speak TLS.',
    hint: 'For a private authority, point NODE_EXTRA_CA_CERTS to its certificate. If the server speaks plain HTTP, write http:// in endpoint.',
  },
  timeout: {
    transient: true,
    patience: 'short',
    meaning: 'The destination did not answer in time.',
    hint: 'If it repeats, look at the load of the endpoint and at the network; a smaller partSize helps on a slow link.',
  },
  'request-refused': {
    transient: false,
    meaning: 'The destination refused a request, for a reason that has no code of its own here.',
    hint: "The message of the server says why. Compare it with the destination's settings.",
  },
  'answer-unreadable': {
    transient: 'depends',
    meaning: 'Something answered at the endpoint that does not speak S3.',
    hint: 'Check endpoint, and proxies between.',
    retried: 'yes, unless the server is wrong in a way that lasts, such as a list without an end',
  },
  's3-internal': {
    transient: false,
    meaning: 'The AWS SDK threw something that pgsluice does not expect.',
    hint: 'This is a defect in pgsluice or in the AWS SDK. Please report it, with the log lines around it.',
  },
  'probe-failed': {
    transient: false,
    meaning: 'The destination does not keep what it is given, or shows it late.',
    hint: 'This destination does not keep what it is given, or shows it late: look for a cache or a proxy between.',
  },
  'destination-full': {
    transient: false,
    meaning: 'The bucket is full, or its quota is used up.',
    hint: 'Raise the quota of the bucket or free space there. An unfinished run goes on from its finished segments, by its --run-id.',
  },
  'disk-full': {
    transient: false,
    meaning: 'The file system of the destination is full, or its quota is used up.',
    hint: 'Free space or raise the quota on this file system; then an unfinished run goes on from its finished segments: run it again with its --run-id, as a new run begins anew.',
  },
  'disk-error': {
    transient: true,
    meaning: 'The file system of the destination fails to read or write.',
    hint: "Look at the kernel's log and at the health of the disk or of the network file system.",
  },
  'folder-missing': {
    transient: false,
    meaning: 'The folder of the destination is not there, or is no folder.',
    hint: 'Check that the folder of the destination exists, is a folder, and that its file system is mounted.',
  },
  'key-refused': {
    transient: false,
    meaning: 'An object cannot have this name in a folder.',
    hint: 'Keys with "..", "." or empty parts could lead out of the folder of the destination. Remove it.',
  },
  'symlink-refused': {
    transient: false,
    meaning: 'A symbolic link stands below the folder of the destination; it is not followed.',
    hint: 'Symbolic links below the folder of the destination are not followed: replace the link by a real folder or file.',
  },
  'links-unsupported': {
    transient: false,
    meaning: 'The file system has no hard links, without which an object cannot be created only once.',
    hint: 'The file system must have hard links, by which a manifest is created only once. Choose another file system.',
  },
  'too-many-open-files': {
    transient: true,
    meaning: 'The process or the machine has no file descriptor left.',
    hint: 'Raise the limit of open files (under systemd: LimitNOFILE).',
  },
  'file-internal': {
    transient: false,
    meaning: 'The file system threw something that pgsluice does not expect.',
    hint: DEFECT,
  },
} as const satisfies Declarations;
