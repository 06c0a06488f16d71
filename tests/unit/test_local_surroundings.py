"""Nothing in a user's shell leads the programs of the local ECS to another cloud or through a proxy."""

from outrig.local.surroundings import neutral


def test_aws_settings_and_proxies_are_left_out_and_all_else_is_kept() -> None:
    misleading = {
        "AWS_PROFILE": "prod",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL_ECS": "https://elsewhere.example",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
        "All_Proxy": "socks5://127.0.0.1:1",
    }
    kept = {"PATH": "/bin", "HOME": "/home/somebody", "NO_PROXY": "localhost"}
    assert neutral({**misleading, **kept}) == kept
