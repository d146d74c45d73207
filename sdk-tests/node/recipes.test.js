// The settings that `ripcord config client` hands out work as they are.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { startBoth } from './programs.js';

const QUICK = 'lab/quick-7b';
const run = promisify(execFile);
const { gateway } = await startBoth(after);

test('the program for the SDK runs as it is', async () => {
  const configuration = join(gateway.folder, 'recipes.toml');
  await writeFile(configuration, `[gateway]\nlisten = "${gateway.address}"\n`);
  const words = ['--config', configuration, 'config', 'client', 'openai-node', '--model', QUICK, '--json'];
  const printed = await run(process.env.RIPCORD_BINARY, words, { env: { PATH: process.env.PATH } });
  const program = JSON.parse(printed.stdout).recipe.steps[0].text;
  // Beside the modules, where the library is found.
  const file = join(import.meta.dirname, `.recipe-${process.pid}.mjs`);
  await writeFile(file, program);
  try {
    const { stdout } = await run(process.execPath, [file], { timeout: 60_000 });
    assert.ok(stdout.trim().length > 0);
  } finally {
    await rm(file, { force: true });
  }
});
