// Pages in a real browser: one whose origin is listed, one whose origin is not.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Emulator, Gateway } from './programs.js';

const QUICK = 'lab/quick-7b';
const SLOW = 'lab/slow-7b';
const PATIENCE_MILLISECONDS = 30_000;

/** What runs in the page: chats as a chat page does, and tells its own server how it went. */
async function script(base, key, models) {
  const headers = {
    'content-type': 'application/json',
    authorization: `Bearer ${key}`,
    // As the OpenAI library sends it from a browser: a header that no list of ours names.
    'x-stainless-lang': 'js',
  };
  const ask = (model, more) =>
    fetch(`${base}/v1/chat/completions`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }], stream: true }),
      ...more,
    });
  const tried = async (work) => {
    try {
      return await work();
    } catch (error) {
      return { blocked: error.name };
    }
  };
  const result = {
    whole: await tried(async () => {
      const answer = await ask(models.quick);
      const text = await answer.text();
      return {
        status: answer.status,
        text,
        request: answer.headers.get('x-ripcord-request-id'),
        model: answer.headers.get('x-ripcord-model'),
        hidden: answer.headers.get('vary'),
      };
    }),
    left: await tried(async () => {
      const leaving = new AbortController();
      const answer = await ask(models.slow, { signal: leaving.signal });
      const { value } = await answer.body.getReader().read();
      leaving.abort();
      return { status: answer.status, bytes: value.length };
    }),
    refused: await tried(async () => {
      const answer = await ask(models.quick, { headers: { ...headers, authorization: 'Bearer wrong' } });
      return { status: answer.status, code: (await answer.json()).error.code };
    }),
    status: await tried(async () => (await fetch(`${base}/-/status`)).status),
    // Without a question asked first: the browser sends it, and does not show the answer.
    simple: await tried(async () => {
      const body = JSON.stringify({ model: models.quick, messages: [{ role: 'user', content: 'hello' }] });
      const more = { method: 'POST', mode: 'no-cors', body, credentials: 'include' };
      return (await fetch(`${base}/v1/chat/completions`, more)).type;
    }),
  };
  await fetch('/result', { method: 'POST', body: JSON.stringify(result) });
}

/** A server of one page, which waits for what the page found out. */
class Page {
  static async open(content) {
    const page = new Page();
    page.found = new Promise((resolve) => {
      page.server = createServer((request, response) => {
        if (request.url !== '/result') {
          response.setHeader('content-type', 'text/html; charset=utf-8');
          response.end(`<!doctype html><title>chat</title><script>${content()}</script>`);
          return;
        }
        let text = '';
        request.on('data', (part) => (text += part));
        request.on('end', () => {
          response.end();
          resolve(JSON.parse(text));
        });
      });
    });
    page.server.listen(0, '127.0.0.1');
    await once(page.server, 'listening');
    page.origin = `http://127.0.0.1:${page.server.address().port}`;
    return page;
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  /** Shows it in a browser until it has told what it found. */
  async look() {
    const profile = await mkdtemp(join(tmpdir(), 'ripcord-browser-'));
    const words = [
      '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', `--user-data-dir=${profile}`,
      '--remote-debugging-port=0', this.origin,
    ];
    // A group of its own: Debian's program is a script that starts the browser beside itself.
    const stdio = ['ignore', 'ignore', 'pipe'];
    const browser = spawn(process.env.BROWSER_BINARY, words, { stdio, detached: true });
    let said = '';
    browser.stderr.on('data', (part) => (said += part));
    const ended = once(browser, 'exit');
    const late = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    try {
      return await Promise.race([
        this.found,
        ended.then(() => Promise.reject(new Error(`the browser ended early:\n${said}`))),
        once(late, 'abort').then(() => Promise.reject(new Error(`the page told nothing:\n${said}`))),
      ]);
    } finally {
      if (browser.exitCode === null && browser.pid) process.kill(-browser.pid, 'SIGKILL');
      await ended.catch(() => {});
      browser.stderr.destroy();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

const folder = await mkdtemp(join(tmpdir(), 'ripcord-pages-'));
after(() => rm(folder, { recursive: true, force: true }));
const emulator = await Emulator.start();
after(() => emulator.stop());
let address;
let key;
const content = () => {
  const models = JSON.stringify({ quick: QUICK, slow: SLOW });
  return `(${script})('http://${address}', '${key}', ${models})`;
};
const listed = await Page.open(content);
after(() => listed.close());
const unlisted = await Page.open(content);
after(() => unlisted.close());

const settings = join(folder, 'config.toml');
await writeFile(settings, `[gateway]\nallowed_origins = ["${listed.origin}"]\n`, { mode: 0o600 });
const own = { RIPCORD_CONFIG: settings, XDG_STATE_HOME: join(folder, 'state') };
const added = await promisify(execFile)(process.env.RIPCORD_BINARY, ['keys', 'add', 'page'], {
  env: { PATH: process.env.PATH, HOME: folder, ...own },
});
key = added.stdout.trim();
const gateway = await Gateway.start(emulator, await emulator.keys('main'), own);
after(() => gateway.stop());
address = gateway.address;

test('a page whose origin is listed can chat, and nothing else', async () => {
  const mark = await emulator.mark();
  const found = await listed.look();
  assert.equal(found.whole.status, 200, JSON.stringify(found));
  assert.match(found.whole.text, /^data: \{/);
  assert.match(found.whole.text, /data: \[DONE\]\s*$/);
  assert.match(found.whole.request, /^req_/);
  assert.equal(found.whole.model, QUICK);
  assert.equal(found.whole.hidden, null, 'what is not exposed is not shown');
  assert.equal(found.left.status, 200);
  assert.ok(found.left.bytes > 0, 'the first part came while the answer ran');
  assert.deepEqual(found.refused, { status: 401, code: 'invalid_api_key' });
  assert.equal(found.status, 403, 'how the accounts stand is nobody else\'s business');
  // Two chats went upstream, and the one that was left ended there.
  const calls = await emulator.calls(mark);
  assert.deepEqual(calls.map((call) => call.model), [QUICK, SLOW]);
  assert.ok(await emulator.leftCalls(mark + (calls[1].id - mark), 1, 2_000));
});

test('a page whose origin is not listed can do nothing at all', async () => {
  const mark = await emulator.mark();
  const found = await unlisted.look();
  for (const part of ['whole', 'left', 'refused', 'status']) {
    assert.deepEqual(found[part], { blocked: 'TypeError' }, part);
  }
  assert.equal(found.simple, 'opaque');
  assert.deepEqual(await emulator.calls(mark), []);
});
