// Opens a page in Chromium, clicks its first link, and prints what it saw, as JSON.
// Usage: node visit.js CHROMIUM URL
const { chromium } = require("playwright-core");

const [executablePath, url] = process.argv.slice(2);

(async () => {
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("console", (said) => said.type() === "error" && errors.push(said.text()));
    await page.goto(url);
    const links = page.locator("#recommendations a");
    await links.first().waitFor();
    const items = await links.allTextContents();
    await links.first().click();
    await page.waitForURL((there) => there.searchParams.get("item") === items[0]);
    await links.first().waitFor();
    const session = await page.evaluate(() => sessionStorage.nextclick);
    process.stdout.write(JSON.stringify({ items, session, errors }));
  } finally {
    await browser.close();
  }
})();
