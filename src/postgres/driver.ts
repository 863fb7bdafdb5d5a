/** What of the driver's inside is used: how a statement is sent, and how its bytes are taken past it for a while. */
import type { EventEmitter } from 'node:events';
import type { Client } from 'pg';

/** The part of the driver's connection that a query may use to send itself. */
export interface DriverConnection extends EventEmitter {
  parse: (query: { text: string }) => void;
  bind: (values: { values?: readonly unknown[]; binary?: boolean }) => void;
  execute: (portal: object) => void;
  sync: () => void;
}

export function driverOf(client: Client): DriverConnection {
  return (client as unknown as { connection: DriverConnection }).connection;
}
