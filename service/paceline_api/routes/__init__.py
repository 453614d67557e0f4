"""The routes, one module a noun. A route translates and makes one call."""

from fastapi import APIRouter

from paceline_api.routes import (
    auth,
    cache,
    dashboard,
    data,
    documents,
    expensive_data,
    index,
    items,
    pitfalls,
    prices,
    process,
    products,
    signup,
    users,
)


def build_router() -> APIRouter:
    """All routes, in the order of the documentation."""
    router = APIRouter()
    for module in (
        products,
        items,
        users,
        dashboard,
        documents,
        expensive_data,
        cache,
        signup,
        auth,
        data,
        prices,
        process,
        pitfalls,
        index,
    ):
        router.include_router(module.router)
    return router
