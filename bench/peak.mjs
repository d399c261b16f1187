// A WebAssembly module that does nothing but multiply and add in registers: the most that its SIMD can do on a machine.
import wabt from 'wabt';

const accumulators = 12; // as many chains as hide the latency of an instruction, in the 16 registers of x86-64
const unrolled = 16;
const lanes = 4;

const steps = {
  relaxed_madd: (i) => `(local.set $x${i} (f32x4.relaxed_madd (local.get $x${i}) (local.get $a) (local.get $b)))`,
  'mul, add': (i) => `(local.set $x${i} (f32x4.add (f32x4.mul (local.get $x${i}) (local.get $a)) (local.get $b)))`,
};

function source(step) {
  const each = (write) => Array.from({ length: accumulators }, (_, i) => write(i)).join('\n');
  return `(module (func (export "run") (param $n i32) (param $scale f32) (param $offset f32) (result f32)
    (local $a v128) (local $b v128) ${each((i) => `(local $x${i} v128)`)}
    (local.set $a (f32x4.splat (local.get $scale)))
    (local.set $b (f32x4.splat (local.get $offset)))
    ${each((i) => `(local.set $x${i} (f32x4.splat (f32.const ${i})))`)}
    (loop $again
      ${each(step).concat('\n').repeat(unrolled)}
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    ${each((i) => `(local.set $a (f32x4.add (local.get $a) (local.get $x${i})))`)}
    (f32x4.extract_lane 0 (local.get $a))))`;
}

/** By instruction: the module's bytes, whose `run(loops, scale, offset)` takes `flopsPerLoop` operations a loop. */
export async function peakModules() {
  const { parseWat } = await wabt();
  const assemble = (step) => [
    ...parseWat('peak.wat', source(step), { simd: true, relaxed_simd: true }).toBinary({}).buffer,
  ];
  const flopsPerLoop = 2 * lanes * accumulators * unrolled;
  return Object.fromEntries(
    Object.entries(steps).map(([name, step]) => [name, { bytes: assemble(step), flopsPerLoop }]),
  );
}
