def test_migrations_apply_and_the_cast_may_be_authorised(cast):
    from apps.governance.services import authorize

    authorize(actor=cast.ada, action="dataset.create", team=cast.support)
