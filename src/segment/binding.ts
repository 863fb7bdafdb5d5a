/** What the names in a task stand for. A task itself holds no secret; these do, and a thread is told them once. */
import type { DestinationConfig, SourceConfig } from '../config/schema.ts';
import type { ConnectionTarget } from '../postgres/connect.ts';
import type { Task } from './task.ts';

/** The sources and destinations of one generation of the config, by name, as plain data. */
export interface Binding {
  sources: Readonly<Record<string, SourceConfig>>;
  destinations: Readonly<Record<string, DestinationConfig>>;
}

/** Where a task's rows and its object are: the database that is read from or restored into, and the object's destination. */
export interface Ends {
  database: ConnectionTarget;
  destination: DestinationConfig;
}

/** Looks the names of a task up. */
export function bindTask(task: Task, { sources, destinations }: Binding): Ends {
  const name = task.kind === 'restore-object' ? task.target : task.source;
  const source = sources[name];
  const destination = destinations[task.destination];
  if (source === undefined || destination === undefined)
    throw unknownName(task, source === undefined ? name : task.destination);
  return { database: { url: source.url, applicationName: applicationName(task) }, destination };
}

/** What the server calls the connection of a task. */
function applicationName({ kind, archive, run, segment }: Task): string {
  return kind === 'restore-object'
    ? `pgsluice restore ${archive}/${run}/${segment}`
    : `pgsluice ${archive}/${run}/${segment}`;
}

function unknownName({ generation }: Task, name: string): Error {
  return new Error(`generation ${generation} of the config has no source or destination "${name}"`);
}
