// The emulator and the gateway as real processes, and what the emulator saw.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import OpenAI from 'openai';

const SCENARIO = join(import.meta.dirname, '..', 'scenario.toml');
const CONFIGURATION = join(import.meta.dirname, '..', 'gateway.toml');
const START_MILLISECONDS = 30_000;
const STOP_MILLISECONDS = 40_000;

/** A process that says on which address it listens. */
class Program {
  static async start(command, words, environment = {}) {
    const program = new this();
    program.folder = await mkdtemp(join(tmpdir(), 'ripcord-sdk-'));
    program.lines = [];
    program.process = spawn(command, words, {
      // Nothing of the person who runs the tests: no settings, no keys, no state.
      env: {
        PATH: process.env.PATH,
        HOME: program.folder,
        XDG_CONFIG_HOME: join(program.folder, 'config'),
        XDG_STATE_HOME: join(program.folder, 'state'),
        XDG_CACHE_HOME: join(program.folder, 'cache'),
        XDG_DATA_HOME: join(program.folder, 'data'),
        ...environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    program.ended = once(program.process, 'exit');
    try {
      program.address = await program.listening();
    } catch (error) {
      await program.stop();
      throw error;
    }
    return program;
  }

  listening() {
    return new Promise((resolve, reject) => {
      const fail = () => reject(new Error(`no address:\n${this.lines.join('\n')}`));
      const timer = setTimeout(fail, START_MILLISECONDS);
      this.process.once('error', reject);
      this.ended.then(fail, reject);
      for (const stream of [this.process.stdout, this.process.stderr]) {
        createInterface({ input: stream }).on('line', (line) => {
          this.lines.push(line);
          const found = /http:\/\/(127\.0\.0\.1:\d+)/.exec(line);
          if (found) {
            clearTimeout(timer);
            resolve(found[1]);
          }
        });
      }
    });
  }

  async stop() {
    this.process.kill('SIGTERM');
    const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_MILLISECONDS);
    await this.ended;
    clearTimeout(timer);
    await rm(this.folder, { recursive: true, force: true });
  }
}

export class Emulator extends Program {
  static start() {
    return super.start(process.env.EMULATOR_BINARY, ['--listen', '127.0.0.1:0', '--scenario', SCENARIO]);
  }

  async control(path, body) {
    const answer = await fetch(`http://${this.address}/__emulator/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer.json();
  }

  async keys(account) {
    const { keys } = await this.control(`accounts/${account}`);
    return keys;
  }

  /** Makes the next inference call of a model go wrong. */
  failNext(model, kind, details = {}) {
    return this.control(`models/${model}`, { faults: [{ kind, count: 1, ...details }] });
  }

  /** The inference calls from a number on, oldest first. */
  async calls(since = 0) {
    const entries = await this.control('log');
    return entries.filter(
      (entry) => entry.id >= since && entry.method === 'POST' && entry.path.startsWith('/v1/'),
    );
  }

  /** Forgets all calls, those too that run on after their client left, as they do at Chutes. */
  reset() {
    return this.control('reset', {});
  }

  /** The number that the next call will have. */
  async mark() {
    const entries = await this.control('log');
    return (entries.at(-1)?.id ?? -1) + 1;
  }

  /** The calls since a mark, once all of them are over because the client left. */
  leftCalls(mark, count, milliseconds) {
    return eventually(async () => {
      const calls = await this.calls(mark);
      return calls.length === count && calls.every((call) => call.ended === 'client_left') && calls;
    }, milliseconds);
  }
}

export class Gateway extends Program {
  static start(emulator, keys, environment = {}) {
    return super.start(process.env.RIPCORD_BINARY, ['serve', '--listen', '127.0.0.1:0'], {
      CHUTES_API_KEY: keys.join(','),
      RIPCORD_CONFIG: CONFIGURATION,
      CHUTES_API_URL: `http://${emulator.address}`,
      CHUTES_LLM_URL: `http://${emulator.address}/v1`,
      ...environment,
    });
  }

  /** A client as its makers ship it, but without retries: a test sees the first answer. */
  client(settings = {}) {
    return new OpenAI({
      baseURL: `http://${this.address}/v1`,
      apiKey: 'none',
      maxRetries: 0,
      timeout: 60_000,
      ...settings,
    });
  }
}

/** One emulator and one gateway before it, stopped after the tests of a file. */
export async function startBoth(after) {
  const emulator = await Emulator.start();
  after(() => emulator.stop());
  const gateway = await Gateway.start(emulator, await emulator.keys('main'));
  after(() => gateway.stop());
  return { emulator, gateway };
}

/** Asks until the answer is true, or fails after so many milliseconds. */
export async function eventually(question, milliseconds) {
  const until = performance.now() + milliseconds;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    assert.ok(performance.now() < until, `not so within ${milliseconds} ms`);
    await pause(20);
  }
}
