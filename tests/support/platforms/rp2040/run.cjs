// node run.cjs MODULES PROGRAM.bin: runs it on rp2040js from its vector table, and prints the first line of its UART.
const fs = require('fs');
const { ConsoleLogger, LogLevel, Simulator } = require(`${process.argv[2]}/rp2040js`);

const simulator = new Simulator();
const chip = simulator.rp2040;
chip.logger = new ConsoleLogger(LogLevel.Error);
chip.flash.set(fs.readFileSync(process.argv[3]), 0);
chip.core.VTOR = 0x10000100;
chip.core.SP = chip.flashView.getUint32(0x100, true);
chip.core.PC = chip.flashView.getUint32(0x104, true) & ~1;

let line = '';
chip.uart[0].onByte = (byte) => {
  line += String.fromCharCode(byte);
  if (byte === 10) {
    process.stdout.write(line);
    process.exit(0);
  }
};
simulator.execute();
setTimeout(() => process.exit(1), 120000);
