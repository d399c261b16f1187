// What the commands of the command line share.

import type { ParseArgsConfig } from 'node:util';

import type { Progress } from '../types.js';

export interface Arguments {
  values: Record<string, string | boolean | (string | boolean)[] | undefined>;
  positionals: string[];
}

export interface Command {
  /** As it stands in the help, after `wimm`. */
  usage: string;
  options: NonNullable<ParseArgsConfig['options']>;
  run(args: Arguments): Promise<void>;
}

/** The command line itself is wrong. */
export class UsageError extends Error {}

/** The number that the option `name` gives, if any. What numbers it may be is for the API to check. */
export function numberOption({ values }: Arguments, name: string): number | undefined {
  const text = values[name];
  if (typeof text !== 'string') return undefined;
  if (!/^\d+$/.test(text)) throw new UsageError(`--${name} must be a whole number, got ${text}`);
  return Number(text);
}

export function onlyPositional({ positionals }: Arguments, name: string): string {
  if (positionals.length !== 1) throw new UsageError(`exactly one ${name} is needed`);
  return positionals[0];
}

/** Shows downloads on stderr: on one line of a terminal, or at their ends. */
export function showProgress({ stage, loaded, total, file }: Progress): void {
  if (stage !== 'download') return;
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  const done = total !== 0 && loaded === total;
  const text = `${file}: ${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ''}`;
  if (process.stderr.isTTY) process.stderr.write(`\r${text}${done ? '\n' : ''}`);
  else if (done) console.error(text);
}
