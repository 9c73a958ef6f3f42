// Opens a page in a headless Chromium and looks at it as a reader would: node page.mjs CHROMIUM PAGE [FOLDER FOR SCREENSHOTS]
// Speaks the DevTools protocol over pipes, so that nothing needs to be installed beside Node and Chromium.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [chromium, page, shots] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "convgemm-page-"));
const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
  "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"];
const browser = spawn(chromium, flags, { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
const [, , , to, from] = browser.stdio;

const waiting = new Map();
const wrong = [];
let session;
let lastId = 0;
let rest = "";
from.setEncoding("utf8").on("data", (text) => {
  const parts = (rest + text).split("\0");
  rest = parts.pop();
  for (const part of parts) heard(JSON.parse(part));
});

function heard({ id, result, error, method, params }) {
  if (id) {
    const { yes, no } = waiting.get(id);
    waiting.delete(id);
    return error ? no(new Error(error.message)) : yes(result);
  }
  if (method === "Runtime.exceptionThrown") wrong.push(`exception: ${params.exceptionDetails.text}`);
  if (method === "Runtime.consoleAPICalled" && params.type === "error") wrong.push(`console: ${JSON.stringify(params.args)}`);
  if (method === "Log.entryAdded" && params.entry.level === "error") wrong.push(`log: ${params.entry.text}`);
  if (method === "Network.requestWillBeSent" && !/^(file|data|about):/.test(params.request.url)) {
    wrong.push(`the page asked the network for ${params.request.url}`);
  }
}

function ask(method, params = {}) {
  const id = ++lastId;
  to.write(JSON.stringify({ id, method, params, sessionId: session }) + "\0");
  return new Promise((yes, no) => waiting.set(id, { yes, no }));
}

async function value(expression) {
  const { result, exceptionDetails } = await ask("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
  if (exceptionDetails) throw new Error(`${expression}: ${exceptionDetails.exception?.description}`);
  return result.value;
}

function expect(what, found, expected) {
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    wrong.push(`${what}: ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
  }
}

async function key(name, code, text) {
  await ask("Input.dispatchKeyEvent", { type: "keyDown", key: name, code: name, windowsVirtualKeyCode: code, text });
  await ask("Input.dispatchKeyEvent", { type: "keyUp", key: name, code: name, windowsVirtualKeyCode: code });
}

// What sticks out of the window to the right, unless it lies in something that scrolls by itself.
const overflowing = `[...document.querySelectorAll("body *")].filter((e) => !e.closest("pre") && !e.closest("svg *")
  && e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5).map((e) => e.tagName + "." + e.getAttribute("class")).slice(0, 5)`;

const state = `(() => { const p = document.querySelector("figure.player");
  return { at: p.dataset.at, lit: [...p.querySelectorAll(".step")].filter((g) => g.style.display !== "none").map((g) => g.dataset.step),
    sum: [...p.querySelectorAll(".sum")].filter((s) => !s.hidden).map((s) => s.querySelector("b").textContent) }; })()`;

async function look() {
  const { targetId } = await ask("Target.createTarget", { url: "about:blank" });
  session = (await ask("Target.attachToTarget", { targetId, flatten: true })).sessionId;
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await ask(`${domain}.enable`);
  for (const scheme of ["light", "dark"]) {
    for (const width of [360, 1400]) {
      const where = `${width} pixels, ${scheme}`;
      await ask("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: width < 500 });
      await ask("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
      await ask("Page.navigate", { url: pathToFileURL(resolve(page)).href });
      await value(`new Promise((done) => document.readyState === "complete" && location.protocol === "file:" ? done() : addEventListener("load", done))`);
      const room = await value("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      expect(`${where}: pixels to scroll to the right`, room, 0);
      expect(`${where}: width of the window`, await value("innerWidth"), width);
      expect(`${where}: sticks out`, await value(overflowing), []);
      expect(`${where}: sections`, await value(`document.querySelectorAll("section").length`), 9);
      expect(`${where}: broken pictures`, await value(`[...document.images].filter((i) => !i.naturalWidth).length`), 0);
      const dark = await value(`getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every((c) => c < 128)`);
      expect(`${where}: dark`, dark, scheme === "dark");
      if (shots) {
        const { data } = await ask("Page.captureScreenshot", { captureBeyondViewport: true });
        writeFileSync(join(shots, `${scheme}-${width}.png`), Buffer.from(data, "base64"));
      }
    }
  }

  expect("at first", await value(state), { at: "0", lit: ["0", "0", "0"], sum: ["19"] });
  await value(`document.querySelector("[data-do=next]").click()`);
  expect("a step on", await value(state), { at: "1", lit: ["1", "1", "1"], sum: ["25"] });
  await value(`document.querySelector("[data-do=back]").focus()`);
  await key("Enter", 13, "\r");
  expect("a step back by the keyboard", (await value(state)).sum, ["19"]);
  await key("Tab", 9);
  expect("the next that Tab reaches", await value("document.activeElement.dataset.do"), "play");
  await key("Enter", 13, "\r");
  const played = await value(`new Promise((done) => { const seen = []; const p = document.querySelector("figure.player");
    const look = setInterval(() => { if (seen.at(-1) !== p.dataset.at) seen.push(p.dataset.at);
      if (seen.length === 3) { clearInterval(look); done(seen); } }, 20); setTimeout(() => done(seen), 6000); })`);
  expect("played", played, ["1", "2", "3"]);
  await key("Enter", 13, "\r");
  await key("Tab", 9);
  await key("Tab", 9);
  await key("Home", 36);
  expect("the slider by the keyboard", (await value(state)).sum, ["19"]);
  const { data } = await ask("Page.printToPDF", { preferCSSPageSize: true });
  expect("it can be printed", Buffer.from(data, "base64").subarray(0, 5).toString(), "%PDF-");
}

const late = setTimeout(() => { console.error("the browser did not answer in time"); browser.kill("SIGKILL"); process.exit(1); }, 90_000);
try {
  await look();
} catch (error) {
  wrong.push(String(error));
}
clearTimeout(late);
const gone = new Promise((done) => browser.once("exit", done));
browser.kill("SIGKILL");
await gone;
// The browser's own children may write for a moment longer; what they leave is no fault of the page.
try {
  rmSync(profile, { recursive: true, force: true, maxRetries: 20 });
} catch (error) {
  console.error(String(error));
}
for (const line of wrong) console.error(line);
console.log(wrong.length === 0 ? "the page is as it should be" : `${wrong.length} things are wrong`);
process.exitCode = wrong.length === 0 ? 0 : 1;
