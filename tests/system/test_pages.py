"""What people see: Airflow's pages of a request and the PanDA monitor, in a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium")
LOAD_MS = 60_000


@pytest.fixture(scope="module")
def page(stack, demo) -> Iterator:
    """A page of the manager, logged in once: FAB answers 429 to many logins."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        opened = browser.new_context(viewport={"width": 1500, "height": 950}).new_page()
        opened.set_default_timeout(LOAD_MS)
        opened.goto(stack.settings.need("AIRFLOW_URL") + "/auth/login/")
        opened.fill("#username", "manager")
        opened.fill("#password", stack.password("manager"))
        opened.click("input[type=submit]")
        opened.wait_for_url(lambda url: "/auth/login" not in url)
        yield opened
        browser.close()


def test_the_list_of_dags_shows_each_request(stack, page):
    page.goto(stack.settings.need("AIRFLOW_URL") + "/dags?limit=50")
    for number in range(10, 17):
        page.get_by_role("link", name=f"DEMO2025-{number:03d}", exact=True).first.wait_for()


def test_a_run_shows_its_groups_and_its_note(stack, page):
    page.goto(stack.settings.need("AIRFLOW_URL") + "/dags/prod__DEMO2025-014/runs/DEMO2025-014-r1")
    page.get_by_text("DEMO2025-014 is accepted").first.wait_for()
    for group in ("gate", "sim", "reco", "close"):
        page.get_by_text(group, exact=True).first.wait_for()


def test_the_docs_page_shows_the_plan(stack, page):
    page.goto(stack.settings.need("AIRFLOW_URL") + "/dags/prod__DEMO2025-016")
    page.get_by_role("button", name="Dag Docs").first.click()
    page.get_by_text("Accepted from 66 % of the seeds").first.wait_for()


def test_an_airflow_task_links_to_its_panda_task(stack, page, demo):
    (request,) = [one for one in demo["requests"] if one["request"] == "DEMO2025-016"]
    jedi_task_id = request["tasks"][0]["jedi_task_id"]
    page.goto(
        stack.settings.need("AIRFLOW_URL") + "/dags/prod__DEMO2025-016/runs/DEMO2025-016-r1/tasks/sim.submit/details"
    )
    link = page.locator(f"a[href$='/task/{jedi_task_id}']").first
    link.wait_for()
    page.goto(link.get_attribute("href"))
    page.get_by_text("DEMO2025-016.SIM").first.wait_for()


def test_the_monitor_escapes_what_people_wrote(stack, page):
    page.goto(stack.settings.need("PANDA_URL") + "/tasks")
    page.get_by_text("DEMO2025-014.SIM").first.wait_for()
    assert page.locator("script").count() == 0
