/** Tells what Node and the system call a network that broke from the rest; a driver's own words come after these. */

/** Of the system and the resolver: ECONNRESET, EPIPE, EAI_AGAIN … No SQLSTATE begins with an E. */
const SYSTEM_CODE = /^E(?!RR_)[A-Z]+(?:_[A-Z]+)?$/;
/** Of Node's own streams and sockets. */
const STREAM_CODE =
  /^ERR_(?:STREAM_(?:PREMATURE_CLOSE|DESTROYED|WRITE_AFTER_END)|SOCKET_(?:CLOSED|CLOSED_BEFORE_CONNECTION|CONNECTION_TIMEOUT))$/;
const TLS_CODE =
  /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_(?!HANDSHAKE_TIMEOUT)|ERR_SSL_|EPROTO$|HOSTNAME_MISMATCH)/;

/** Whether this is a code of the system, of the resolver or of a stream, such as ECONNRESET: nobody said no. */
export function isNetworkCode(code: string): boolean {
  if (isTlsCode(code)) return false;
  return SYSTEM_CODE.test(code) || STREAM_CODE.test(code) || code === 'ERR_TLS_HANDSHAKE_TIMEOUT';
}

/** Nothing listens there, or no way leads there. */
const REFUSAL_CODE = /^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL)$/;
/** The name of a host is not known, or nobody who knows answers. */
const NAME_CODE = /^(?:ENOTFOUND|ESERVFAIL|EAI_[A-Z]+)$/;

/** Of a network code, what failed: the same for Postgres and for S3. */
export function kindOfNetworkCode(code: string): 'connection-refused' | 'dns' | 'connection-lost' {
  if (REFUSAL_CODE.test(code)) return 'connection-refused';
  return NAME_CODE.test(code) ? 'dns' : 'connection-lost';
}

/** Whether TLS itself was refused: a certificate, a version, a peer that does not speak it. */
export function isTlsCode(code: string): boolean {
  return TLS_CODE.test(code);
}
