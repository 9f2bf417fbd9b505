"""Chromium without a window, as a person would use it."""

import os
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

TIMEOUT = 20  # s, for a page

_DRIVER = "/usr/bin/chromedriver"
_CHROMIUM = "/usr/bin/chromium"


class Browser:
    """One window; everything that it keeps is below `directory`."""

    def __init__(self, directory):
        for program in (_CHROMIUM, _DRIVER):
            if shutil.which(program) is None:
                raise AssertionError(f"{program} is missing: apt-get install "
                                     "chromium chromium-driver")
        options = webdriver.ChromeOptions()
        options.binary_location = _CHROMIUM
        for argument in ("--headless=new", "--no-sandbox", "--disable-gpu",
                         "--disable-dev-shm-usage", "--no-proxy-server",
                         "--no-first-run", "--disable-background-networking",
                         "--disable-component-update",
                         f"--user-data-dir={os.path.join(directory, 'data')}"):
            options.add_argument(argument)
        service = Service(_DRIVER, env={
            **os.environ, "HOME": directory, "TMPDIR": directory})
        self._driver = webdriver.Chrome(service=service, options=options)
        self._driver.set_page_load_timeout(TIMEOUT)

    def stop(self):
        self._driver.quit()

    def open(self, url):
        self._driver.get(url)

    def forget(self):
        """Who has signed in here: their cookies."""
        self._driver.delete_all_cookies()

    def fill(self, **fields):
        """Type into the fields of those names, once they are there."""
        for name, text in fields.items():
            field = self._find(f"[name={name}]")
            field.clear()
            field.send_keys(text)

    def submit(self):
        """Press the page's first button, and wait until another page is there."""
        button = self._find("button[type=submit]")
        button.click()
        WebDriverWait(self._driver, TIMEOUT).until(
            lambda driver: _is_gone(button))

    def text(self, selector="body"):
        return self._find(selector).text

    @property
    def url(self):
        return self._driver.current_url

    def _find(self, selector):
        return WebDriverWait(self._driver, TIMEOUT).until(
            lambda driver: driver.find_element(By.CSS_SELECTOR, selector))


def _is_gone(element):
    try:
        element.is_enabled()
    except Exception:  # several kinds, all of them mean that
        return True
    return False
