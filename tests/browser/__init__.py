"""Pages in Chromium. A package, so that the loop of Playwright ends with these tests."""
