// node serial.cjs MODULES PROGRAM.uf2 READY: an RP2040 that starts as its boot ROM starts it; its UART is stdin and stdout.
// The file READY appears with its first byte; READY.edges has a line for each time that GPIO 2 went low.
const fs = require('fs');
const { ConsoleLogger, LogLevel, Simulator } = require(`${process.argv[2]}/rp2040js`);

const simulator = new Simulator();
const chip = simulator.rp2040;
chip.logger = new ConsoleLogger(LogLevel.Error);
const blocks = fs.readFileSync(process.argv[3]);
for (let at = 0; at < blocks.length; at += 512) {
  chip.flash.set(blocks.subarray(at + 32, at + 32 + blocks.readUInt32LE(at + 16)), blocks.readUInt32LE(at + 12) - 0x10000000);
}

// The ROM copies the first 256 bytes to the end of RAM, and calls them there; LR 0 says that it was the ROM.
const BOOT = 0x20041f00;
let starts = true;
function start() {
  starts = false;
  chip.sram.set(chip.flash.subarray(0, 256), BOOT - 0x20000000);
  chip.core.SP = BOOT;
  chip.core.LR = 0;
  chip.core.PC = BOOT;
}

// A reset that the program asks for, which the emulator does not know.
const write = chip.writeUint32.bind(chip);
chip.writeUint32 = (address, value) => {
  if (address >>> 0 === 0xe000ed0c && value >>> 0 === 0x05fa0004) starts = true;
  else write(address, value);
};

const waiting = [];
process.stdin.on('data', (data) => waiting.push(...data));
process.stdin.on('end', () => process.exit(0));
let said = [];
chip.gpio[2].addListener((state, before) => {
  if (before === 1 && state === 0) fs.appendFileSync(`${process.argv[4]}.edges`, 'low\n');
});
chip.uart[0].onByte = (byte) => said.push(byte);

// Short turns: what came is fed, and what was said is written, between them.
const NANOSECONDS = 1e9 / 12e6;
function turn() {
  for (let i = 0; i < 20000; i++) {
    if (starts) start();
    if (waiting.length && !chip.uart[0].rxFIFO.full) chip.uart[0].feedByte(waiting.shift());
    simulator.clock.tick(chip.core.executeInstruction() * NANOSECONDS);
  }
  if (said.length) {
    fs.writeSync(1, Uint8Array.from(said));
    fs.writeFileSync(process.argv[4], '');
  }
  said = [];
  setImmediate(turn);
}
turn();
