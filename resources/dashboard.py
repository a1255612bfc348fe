from vel_tutor_mcp.doors.dashboard.page import html
from vel_tutor_mcp.doors.desk import DASHBOARD, Desk, app_page


# No domains: what it needs stands in it, and what it asks comes through tools.
@app_page(DASHBOARD, "Dashboard", csp={"connectDomains": [], "resourceDomains": []}, prefersBorder=True)
async def dashboard(_: Desk) -> str:
    """The page that dashboard_show shows in clients with MCP Apps."""
    return html()
