// Before `npm pack`: puts the program that EVERLOOP_PACK_BIN names into the package, for the platform that EVERLOOP_PACK_TARGET names
// (`linux-x64`, `darwin-arm64`; this one when not set). Without it the package has none, and looks for one on PATH.
import { chmodSync, copyFileSync, mkdirSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const vendor = fileURLToPath(new URL("../vendor/", import.meta.url));
const program = process.env.EVERLOOP_PACK_BIN;
const platform = process.env.EVERLOOP_PACK_TARGET ?? `${process.platform}-${process.arch}`;
rmSync(vendor, { recursive: true, force: true });
if (program) {
  const target = `${vendor}${platform}/everloop`;
  mkdirSync(`${vendor}${platform}`, { recursive: true });
  copyFileSync(program, target);
  chmodSync(target, 0o755);
}
