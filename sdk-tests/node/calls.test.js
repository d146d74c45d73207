// Calls that are left, that take too long, and that come all at once.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import OpenAI from 'openai';
import { eventually, startBoth } from './programs.js';

const SLOW = 'lab/slow-7b';
const STEADY = 'lab/steady-7b';
const messages = [{ role: 'user', content: 'hello' }];

// Much shorter than the minute that the slow model takes for its answer.
const LEFT_MILLISECONDS = 1_000;

const { emulator, gateway } = await startBoth(after);
const client = gateway.client();

test('leaving a stream ends the call upstream', async () => {
  const mark = await emulator.mark();
  const stream = await client.chat.completions.create({ model: SLOW, messages, stream: true });
  for await (const chunk of stream) {
    assert.ok(chunk.choices);
    break;
  }
  const [call] = await emulator.leftCalls(mark, 1, LEFT_MILLISECONDS);
  assert.ok(call.stream);
});

test('leaving a plain call ends it upstream', async () => {
  const mark = await emulator.mark();
  const leaving = new AbortController();
  const call = client.chat.completions.create({ model: SLOW, messages }, { signal: leaving.signal });
  const rejection = assert.rejects(call, OpenAI.APIUserAbortError);
  await eventually(async () => (await emulator.calls(mark)).length, 10_000);
  leaving.abort();
  await rejection;
  const [left] = await emulator.leftCalls(mark, 1, LEFT_MILLISECONDS);
  assert.ok(!left.stream);
});

test('a client that times out and tries again is not multiplied', async () => {
  const mark = await emulator.mark();
  const hasty = gateway.client({ maxRetries: 2, timeout: 500 });
  await assert.rejects(
    hasty.chat.completions.create({ model: SLOW, messages }),
    OpenAI.APIConnectionTimeoutError,
  );
  await emulator.leftCalls(mark, 3, LEFT_MILLISECONDS);
});

test('an account serves five calls at once and the others wait', async () => {
  await emulator.reset();
  const calls = Array.from({ length: 20 }, () => client.chat.completions.create({ model: STEADY, messages }));
  const answers = await Promise.all(calls);
  assert.equal(new Set(answers.map((answer) => answer.id)).size, 20);
  const seen = await emulator.calls();
  assert.equal(seen.length, 20);
  assert.equal(Math.max(...seen.map((call) => call.account_in_flight)), 5);
});
