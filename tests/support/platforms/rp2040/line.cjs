// node line.cjs MODULES PROGRAM.bin: runs it on rp2040js from its vector table at 0x10000100; its UART0 is stdin and stdout.
const fs = require('fs');
const { ConsoleLogger, LogLevel, Simulator } = require(`${process.argv[2]}/rp2040js`);

const TABLE = 0x10000100;
const AIRCR = 0xd0c; // of the system control space; bit 2 asks for a reset
const simulator = new Simulator();
const chip = simulator.rp2040;
const uart = chip.uart[0];
chip.logger = new ConsoleLogger(LogLevel.Error);
chip.flash.set(fs.readFileSync(process.argv[3]), 0x100);

function reset() {
  chip.core.VTOR = TABLE;
  chip.core.SP = chip.flashView.getUint32(0x100, true);
  chip.core.PC = chip.flashView.getUint32(0x104, true) & ~1;
}

// rp2040js has no system reset: the program, which waits for it, gets it between two of its turns.
const write = chip.ppb.writeUint32.bind(chip.ppb);
chip.ppb.writeUint32 = (offset, value) => {
  if (offset === AIRCR && value & 4) setImmediate(reset);
  else write(offset, value);
};

const pending = [];
let sending = [];
function turn() {
  while (pending.length > 0 && !uart.rxFIFO.full) uart.feedByte(pending.shift());
  if (sending.length > 0) process.stdout.write(Buffer.from(sending));
  sending = [];
  setImmediate(turn);
}

process.stdin.on('data', (data) => pending.push(...data));
process.stdin.on('end', () => process.exit(0));
uart.onByte = (byte) => sending.push(byte);
reset();
simulator.execute();
turn();
