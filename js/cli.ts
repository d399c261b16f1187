#!/usr/bin/env node
// The command line: wimm list | info | classify | bench.

import { parseArgs } from 'node:util';

import { benchmark } from './cli/bench.js';
import { classify } from './cli/classify.js';
import { info, list } from './cli/catalogue.js';
import { type Command, UsageError } from './cli/command.js';
import { WimmError } from './errors.js';

const commands: Record<string, Command> = { list, info, classify, bench: benchmark };

const usage = `usage: ${Object.values(commands)
  .map(({ usage }) => `wimm ${usage}`)
  .join('\n       ')}`;

/** Runs the command and gives the exit status: 0, 1 (failed) or 2 (usage). */
async function main([name, ...args]: string[]): Promise<number> {
  if (name === '--help' || name === '-h') {
    console.log(usage);
    return 0;
  }
  try {
    if (!name || !Object.hasOwn(commands, name))
      throw new UsageError(name ? `unknown command ${name}` : 'a command is needed');
    const { options, run } = commands[name];
    await run(parse(args, options));
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`wimm: ${error.message}\n${usage}`);
      return 2;
    }
    console.error(error instanceof WimmError ? `wimm: ${error.code}: ${error.message}` : error);
    return 1;
  }
}

function parse(args: string[], options: Command['options']) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

process.exitCode = await main(process.argv.slice(2));
