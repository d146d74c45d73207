// What a client asks for arrives: plain, streamed, with tools, as JSON; models and embeddings.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { startBoth } from './programs.js';

const QUICK = 'lab/quick-7b';
const WEATHER = {
  type: 'function',
  function: {
    name: 'read_weather',
    description: 'The weather of a town.',
    parameters: {
      type: 'object',
      properties: { town: { type: 'string' }, days: { type: 'integer' } },
      required: ['town', 'days'],
    },
  },
};
const Harbour = z.object({ name: z.string(), lamps: z.number().int(), boats: z.array(z.string()) });

const { emulator, gateway } = await startBoth(after);
const client = gateway.client();
const ask = (content) => [{ role: 'user', content }];

test('plain', async () => {
  const mark = await emulator.mark();
  const answer = await client.chat.completions.create({ model: QUICK, messages: ask('plain') });
  assert.equal(answer.model, QUICK);
  assert.match(answer.choices[0].message.content, /\.$/);
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.equal(answer.usage.completion_tokens, 24);
  const [call, ...others] = await emulator.calls(mark);
  assert.equal(call.ended, 'complete');
  assert.deepEqual(others, []);
});

test('streamed is the plain answer in parts', async () => {
  const request = { model: QUICK, messages: ask('in parts') };
  const plain = await client.chat.completions.create(request);
  const stream = await client.chat.completions.create({
    ...request,
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await Array.fromAsync(stream);
  const choices = chunks.flatMap((chunk) => chunk.choices);
  const texts = choices.map((choice) => choice.delta.content ?? '').filter(Boolean);
  assert.ok(texts.length > 10);
  assert.equal(texts.join(''), plain.choices[0].message.content);
  assert.deepEqual(
    choices.map((choice) => choice.finish_reason).filter((reason) => reason !== null),
    ['stop'],
  );
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  assert.equal(chunks.at(-1).usage.completion_tokens, plain.usage.completion_tokens);
});

test('a stream that breaks upstream is one answer', async () => {
  for (const kind of ['cut', 'bare_json_error', 'restart']) {
    const request = { model: QUICK, messages: ask(`goes on after ${kind}`) };
    const plain = await client.chat.completions.create(request);
    await emulator.failNext(QUICK, kind, { after_chunks: 9 });
    const stream = client.chat.completions.stream(request);
    const ids = new Set();
    stream.on('chunk', (chunk) => ids.add(chunk.id));
    const answer = await stream.finalChatCompletion();
    assert.equal(answer.choices[0].message.content, plain.choices[0].message.content);
    assert.equal(answer.choices[0].message.role, 'assistant');
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.equal(ids.size, 1);
  }
});

test('the answer says who served it', async () => {
  const { response } = await client.chat.completions
    .create({ model: QUICK, messages: ask('headers') })
    .withResponse();
  assert.ok(response.headers.get('x-ripcord-request-id'));
  assert.equal(response.headers.get('x-ripcord-model'), QUICK);
  assert.equal(response.headers.get('x-ripcord-attempts'), '1');
});

test('text completion', async () => {
  const answer = await client.completions.create({ model: QUICK, prompt: 'once upon', max_tokens: 5 });
  assert.ok(answer.choices[0].text);
  assert.equal(answer.choices[0].finish_reason, 'length');
});

test('tool call and the turn after it', async () => {
  const messages = ask('what weather is it?');
  const first = await client.chat.completions.create({
    model: QUICK,
    messages,
    tools: [WEATHER],
    tool_choice: 'required',
  });
  assert.equal(first.choices[0].finish_reason, 'tool_calls');
  const [call] = first.choices[0].message.tool_calls;
  assert.equal(call.function.name, 'read_weather');
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ['days', 'town']);

  messages.push(first.choices[0].message);
  messages.push({ role: 'tool', tool_call_id: call.id, content: JSON.stringify({ sky: 'clear' }) });
  const second = await client.chat.completions.create({ model: QUICK, messages, tools: [WEATHER] });
  assert.equal(second.choices[0].finish_reason, 'stop');
  assert.ok(second.choices[0].message.content);
});

test('tool call streamed', async () => {
  const stream = client.chat.completions.stream({
    model: QUICK,
    messages: ask('what weather is it?'),
    tools: [WEATHER],
    tool_choice: 'required',
  });
  let pieces = 0;
  stream.on('tool_calls.function.arguments.delta', () => (pieces += 1));
  const answer = await stream.finalChatCompletion();
  assert.ok(pieces > 1);
  assert.equal(answer.choices[0].finish_reason, 'tool_calls');
  const [call] = answer.choices[0].message.tool_calls;
  assert.deepEqual(Object.keys(JSON.parse(call.function.arguments)).sort(), ['days', 'town']);
});

test('JSON schema, by hand and by the parse helper', async () => {
  const request = { model: QUICK, messages: ask('describe a harbour') };
  const schema = {
    type: 'object',
    properties: { name: { type: 'string' }, lamps: { type: 'integer', minimum: 3 } },
    required: ['name', 'lamps'],
    additionalProperties: false,
  };
  const byHand = await client.chat.completions.create({
    ...request,
    response_format: { type: 'json_schema', json_schema: { name: 'harbour', strict: true, schema } },
  });
  const harbour = JSON.parse(byHand.choices[0].message.content);
  assert.deepEqual(Object.keys(harbour).sort(), ['lamps', 'name']);
  assert.ok(harbour.lamps >= 3);

  const format = { response_format: zodResponseFormat(Harbour, 'harbour') };
  const parsed = await client.chat.completions.parse({ ...request, ...format });
  assert.ok(Harbour.parse(parsed.choices[0].message.parsed));

  const streamed = await client.chat.completions.stream({ ...request, ...format }).finalChatCompletion();
  assert.deepEqual(streamed.choices[0].message.parsed, parsed.choices[0].message.parsed);
});

test('models', async () => {
  const names = (await Array.fromAsync(client.models.list())).map((model) => model.id);
  assert.ok(names.includes(QUICK));
  assert.equal((await client.models.retrieve(QUICK)).id, QUICK);
  await assert.rejects(client.models.retrieve('lab/no-such-model'), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, 'model_not_found');
    return true;
  });
});

for (const encoding of ['float', 'base64', undefined]) {
  test(`embeddings as ${encoding ?? 'the client likes'}`, async () => {
    const answer = await client.embeddings.create({
      model: 'lab/embedder',
      input: ['one', 'two'],
      ...(encoding && { encoding_format: encoding }),
    });
    assert.deepEqual(
      answer.data.map((item) => item.index),
      [0, 1],
    );
    assert.notDeepEqual(answer.data[0].embedding, answer.data[1].embedding);
    if (encoding !== 'base64') assert.equal(answer.data[0].embedding.length, 32);
  });
}
