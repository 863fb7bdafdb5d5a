/** What a route answers, and how it is written. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { scrubText } from '../../base/secrets.ts';

export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body: string | Buffer;
}

/** Holds for every answer: nothing from elsewhere, no framing, no guessing of types, nothing kept. */
const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

/** A JSON document, without secrets: the messages of servers may echo what they were given. */
export function json(value: unknown, status = 200): Reply {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
    body: `${JSON.stringify(value, scrubText)}\n`,
  };
}

/** A refusal, with a stable code and what to do. */
export function refusal(status: number, code: string, message: string, headers: Record<string, string> = {}): Reply {
  const reply = json({ error: { code, message } }, status);
  return { ...reply, headers: { ...reply.headers, ...headers } };
}

/** Writes the answer; to HEAD, without its body. */
export function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const body = Buffer.from(reply.body);
  response.writeHead(reply.status, { ...HEADERS, ...reply.headers, 'Content-Length': body.length });
  response.end(request.method === 'HEAD' ? undefined : body);
}

/** Begins an answer that goes on. */
export function sendHead(response: ServerResponse, headers: Record<string, string>): void {
  response.writeHead(200, { ...HEADERS, ...headers });
}
