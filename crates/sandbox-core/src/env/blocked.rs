//! Names that are never passed on unless somebody names them.
//!
//! They are those that the Hermes agent 0.19.0 holds back (the keys and addresses of model providers
//! and tools, whatever belongs to a messaging platform, and what its gateway makes up as it runs),
//! and with them the keys of clouds and of other agents, which it lets pass.

/// Platforms and services: every name that begins so is the business of a gateway, not of a command.
const BEGINNINGS: &[&str] = &[
    "API_SERVER_",
    "BLUEBUBBLES_",
    "BROWSERBASE_",
    "DINGTALK_",
    "DISCORD_",
    "FEISHU_",
    "FIRECRAWL_",
    "GATEWAY_",
    "GITHUB_APP_",
    "GOOGLE_CHAT_",
    "HASS_",
    "HERMES_LANGFUSE_",
    "IRC_",
    "MATTERMOST_",
    "MODAL_TOKEN_",
    "NTFY_",
    "PHOTON_",
    "QQBOT_",
    "QQ_",
    "SIMPLEX_",
    "SLACK_",
    "TELEGRAM_",
    "TOOL_GATEWAY_",
    "TWILIO_",
    "WECOM_",
    "WHATSAPP_",
    // What the agent marks to be forced through its own filter.
    "_HERMES_FORCE_",
];

/// What keys, private addresses and rules of access end in, whoever they are for.
const ENDINGS: &[&str] = &[
    "_ACCESS_TOKEN",
    "_ALLOWED_USERS",
    "_ALLOW_ALL_USERS",
    "_API_KEY",
    "_API_TOKEN",
    "_AUTH_TOKEN",
    "_BASE_URL",
    "_BOT_TOKEN",
    "_HOME_CHANNEL",
    "_HOME_CHANNEL_NAME",
    "_OAUTH_TOKEN",
];

/// Both a beginning and an ending: what the agent and its gateway make up as they run.
const MADE_UP: &[(&str, &str)] = &[("HERMES_", "_KEY"), ("HERMES_", "_TOKEN")];

/// The rest, name by name, since their beginnings are words that mean other things as well.
const NAMES: &[&str] = &[
    // Models and tools.
    "AGENT_BROWSER_ENGINE",
    "ANTHROPIC_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "CAMOFOX_URL",
    "COPILOT_GITHUB_TOKEN",
    "FAL_KEY",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HF_TOKEN",
    "HINDSIGHT_API_URL",
    "HUGGING_FACE_HUB_TOKEN",
    "LLM_MODEL",
    "OPENAI_API_BASE",
    "OPENAI_ORGANIZATION",
    "OPENAI_ORG_ID",
    "OPENVIKING_ENDPOINT",
    "SEARXNG_URL",
    "VERTEX_CREDENTIALS_PATH",
    "VOICE_TOOLS_OPENAI_KEY",
    // Clouds and forges.
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "GH_TOKEN",
    "GITHUB_TOKEN",
    "SUDO_PASSWORD",
    // Messaging.
    "EMAIL_ADDRESS",
    "EMAIL_HOME_ADDRESS",
    "EMAIL_HOME_ADDRESS_NAME",
    "EMAIL_IMAP_HOST",
    "EMAIL_PASSWORD",
    "EMAIL_SMTP_HOST",
    "EMAIL_SMTP_PORT",
    "HERMES_SIMPLEX_TEXT_BATCH_DELAY",
    "LINE_ALLOWED_GROUPS",
    "LINE_ALLOWED_ROOMS",
    "LINE_CHANNEL_SECRET",
    "LINE_HOST",
    "LINE_PORT",
    "LINE_PUBLIC_URL",
    "LINE_SLOW_RESPONSE_THRESHOLD",
    "MATRIX_AUTO_THREAD",
    "MATRIX_DEVICE_ID",
    "MATRIX_DM_AUTO_THREAD",
    "MATRIX_FREE_RESPONSE_ROOMS",
    "MATRIX_HOMESERVER",
    "MATRIX_PASSWORD",
    "MATRIX_RECOVERY_KEY",
    "MATRIX_REQUIRE_MENTION",
    "MATRIX_USER_ID",
    "SIGNAL_ACCOUNT",
    "SIGNAL_GROUP_ALLOWED_USERS",
    "SIGNAL_HTTP_URL",
    "SIGNAL_IGNORE_STORIES",
    "TEAMS_CLIENT_ID",
    "TEAMS_CLIENT_SECRET",
    "TEAMS_PORT",
    "TEAMS_TENANT_ID",
    "WEBHOOK_ENABLED",
    "WEBHOOK_PORT",
    "WEBHOOK_SECRET",
];

/// Whether a name is kept from *implicit* forwarding. Upper and lower case are the same.
///
/// ```
/// use sandbox_core::env::is_blocked;
/// assert!(is_blocked("OPENAI_API_KEY") && is_blocked("auxiliary_vision_base_url"));
/// assert!(!is_blocked("LANG"));
/// ```
#[must_use]
pub fn is_blocked(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    NAMES.contains(&name.as_str())
        || BEGINNINGS.iter().any(|begin| name.starts_with(begin))
        || ENDINGS.iter().any(|end| name.ends_with(end))
        || MADE_UP
            .iter()
            .any(|(begin, end)| name.starts_with(begin) && name.ends_with(end))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::is_blocked;

    /// The agent's own block list, with what it strips from every process, as its 0.19.0 works it
    /// out in a container.
    const HELD_BACK: &str = include_str!("../../tests/data/hermes-0.19.0-blocked.txt");

    #[test]
    fn all_that_the_agent_holds_back_is_blocked() {
        let passed: Vec<&str> = HELD_BACK.lines().filter(|name| !is_blocked(name)).collect();
        assert_eq!(HELD_BACK.lines().count(), 318);
        assert!(passed.is_empty(), "{passed:?}");
    }

    #[rstest]
    #[case("AUXILIARY_WEB_EXTRACT_API_KEY")]
    #[case("AUXILIARY_VISION_BASE_URL")]
    #[case("GATEWAY_RELAY_ANY_SECRET")]
    #[case("GATEWAY_RELAY_ANY_TOKEN")]
    #[case("gateway_relay_any_key")]
    #[case("_HERMES_FORCE_OPENAI_API_KEY")]
    #[case("AWS_SECRET_ACCESS_KEY")]
    #[case("CLAUDE_CODE_OAUTH_TOKEN")]
    #[case("REPLICATE_API_TOKEN")]
    fn what_is_made_up_and_what_clouds_use_is_blocked(#[case] name: &str) {
        assert!(is_blocked(name));
    }

    #[rstest]
    #[case("LANG")]
    #[case("PATH")]
    #[case("HTTPS_PROXY")]
    #[case("HERMES_HOME")]
    #[case("LINE_LENGTH")]
    #[case("EMAIL")]
    #[case("AWS_REGION")]
    fn what_a_command_needs_passes(#[case] name: &str) {
        assert!(!is_blocked(name));
    }
}
