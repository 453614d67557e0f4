"""The routes, one module a noun. A route translates and makes one call."""

from fastapi import APIRouter

from paceline_api.routes import cache, data, expensive_data, index, products


def build_router() -> APIRouter:
    """All routes, in the order of the documentation."""
    router = APIRouter()
    for module in (products, expensive_data, cache, data, index):
        router.include_router(module.router)
    return router
