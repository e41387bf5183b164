#!/usr/bin/env node
// Started by ssh, with its question: asks `iocloud node add`, which has the password, and prints the answer.
import { connect } from 'node:net';

const socket = connect(process.env.IOCLOUD_ASKPASS_SOCKET ?? '');
let answer = '';
socket.on('data', chunk => {
  answer += chunk;
});
socket.on('error', () => process.exit(1));
socket.on('end', () => {
  process.stdout.write(answer, () => process.exit(answer === '' ? 1 : 0));
});
socket.write(`${(process.argv[2] ?? '').replaceAll('\n', ' ').trim()}\n`);
