// Every error reaches the program as the exception its author expects, with a code to decide by.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import OpenAI from 'openai';
import { Gateway, startBoth } from './programs.js';

const QUICK = 'lab/quick-7b';
const messages = [{ role: 'user', content: 'hello' }];

const { emulator, gateway } = await startBoth(after);
const client = gateway.client();

/** A client with its usual retries, and a list of the requests that it sent. */
function countingClient(through, settings) {
  const sent = [];
  const counting = (...request) => {
    sent.push(request);
    return fetch(...request);
  };
  return { client: through.client({ fetch: counting, ...settings }), sent };
}

/** Fails unless the call is rejected with this exception and code. Returns the exception. */
async function rejected(call, Kind, code) {
  const error = await call.then(
    () => assert.fail('it was answered'),
    (caught) => caught,
  );
  assert.ok(error instanceof Kind, `${error}`);
  if (code) assert.equal(error.code, code);
  return error;
}

test('an unknown model is not tried again', async () => {
  const mark = await emulator.mark();
  const { client, sent } = countingClient(gateway, { maxRetries: 3 });
  const call = client.chat.completions.create({ model: 'lab/quik-7b', messages });
  const error = await rejected(call, OpenAI.NotFoundError, 'model_not_found');
  assert.ok(error.message.includes(QUICK), 'it names the near one');
  assert.equal(sent.length, 1);
  assert.ok((await emulator.calls(mark)).length <= 1);
});

test('a bad request of upstream', async () => {
  const call = { id: 'call_1', type: 'function', function: { name: 'read', arguments: '{not json' } };
  const error = await rejected(
    client.chat.completions.create({
      model: QUICK,
      messages: [...messages, { role: 'assistant', tool_calls: [call] }],
    }),
    OpenAI.BadRequestError,
  );
  assert.match(error.message, /arguments/);
});

test('a context too long', async () => {
  await emulator.failNext(QUICK, 'context_too_long');
  const call = client.chat.completions.create({ model: QUICK, messages });
  await rejected(call, OpenAI.BadRequestError, 'context_length_exceeded');
});

test('a wrong content type', async () => {
  const mark = await emulator.mark();
  const answer = await fetch(`http://${gateway.address}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'text/plain' },
    body: JSON.stringify({ model: QUICK, messages }),
  });
  assert.equal(answer.status, 415);
  assert.equal(typeof (await answer.json()).error.message, 'string');
  assert.deepEqual(await emulator.calls(mark), []);
});

test('a Chutes key is not for clients', async () => {
  const [key] = await emulator.keys('main');
  const call = gateway.client({ apiKey: key }).chat.completions.create({ model: QUICK, messages });
  const error = await rejected(call, OpenAI.AuthenticationError, 'invalid_api_key');
  assert.ok(!`${error}`.includes(key));
});

test('a dead upstream key', async () => {
  const dead = `cpk_${'0'.repeat(32)}.${'1'.repeat(32)}.${'a'.repeat(32)}`;
  const other = await Gateway.start(emulator, [dead]);
  try {
    const { client, sent } = countingClient(other, { maxRetries: 3 });
    const call = client.chat.completions.create({ model: QUICK, messages });
    const error = await rejected(call, OpenAI.InternalServerError, 'upstream_auth');
    assert.equal(error.status, 502);
    assert.equal(sent.length, 1);
  } finally {
    await other.stop();
  }
  assert.ok(!other.lines.join('\n').includes(dead));
});

test('a broken stream is an error and no short answer', async () => {
  await emulator.failNext(QUICK, 'cut', { after_chunks: 5 });
  // With a seed the rest would not be the rest of the same answer.
  const stream = await client.chat.completions.create({ model: QUICK, messages, stream: true, seed: 7 });
  const choices = [];
  const reading = (async () => {
    for await (const chunk of stream) choices.push(...chunk.choices);
  })();
  await rejected(reading, OpenAI.APIError);
  assert.ok(choices.some((choice) => choice.delta.content));
  assert.ok(choices.every((choice) => choice.finish_reason === null));
});

test('a cold model', async () => {
  const call = client.chat.completions.create(
    { model: 'lab/cold-7b', messages },
    { headers: { 'x-ripcord-deadline': '1' } },
  );
  const error = await rejected(call, OpenAI.InternalServerError, 'model_cold');
  assert.equal(error.status, 503);
});
