//! The bridge that sandboxes share, and on which they do not reach each other.

use std::collections::HashMap;

use bollard::models::NetworkCreateRequest;
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder};

use sandbox_core::Flavour;

use crate::connect::Engine;
use crate::error::{Doing as _, RequestError, ask, tell};

/// The network's name, and its bridge's.
///
/// An engine takes two networks of one name, but no two bridges: that is what makes creation
/// atomic. An interface's name has 15 characters at most.
pub const NETWORK: &str = "talaria-sandbox";

const ICC: &str = "com.docker.network.bridge.enable_icc";
const BRIDGE: &str = "com.docker.network.bridge.name";

impl Engine {
    /// Makes the network where it is missing, and tells whether sandboxes are kept apart on it.
    ///
    /// # Errors
    ///
    /// When the engine refuses.
    pub async fn network(&self) -> Result<NetworkState, RequestError> {
        if let Some(state) = self.look_for_network().await? {
            return Ok(state);
        }
        let wanted = NetworkCreateRequest {
            name: NETWORK.to_owned(),
            driver: Some("bridge".to_owned()),
            options: Some(self.network_options()),
            labels: Some(HashMap::from([(
                "talaria.network".to_owned(),
                "1".to_owned(),
            )])),
            ..NetworkCreateRequest::default()
        };
        let created = tell(self.docker.create_network(wanted)).await;
        let created = created.doing(|| format!("create network {NETWORK}"));
        // Whoever lost the race finds what the winner made.
        match (self.look_for_network().await?, created) {
            (Some(state), _) => Ok(state),
            (None, Err(error)) => Err(error),
            (None, Ok(_)) => Err(RequestError::new(
                format!("use network {NETWORK}, which was just created"),
                crate::error::Fault::Incomplete { field: "network" },
            )),
        }
    }

    fn network_options(&self) -> HashMap<String, String> {
        let options: &[(&str, &str)] = match self.flavour() {
            Flavour::Docker => &[(ICC, "false"), (BRIDGE, NETWORK)],
            // Networks apart are what Podman has for it.
            Flavour::Podman => &[("isolate", "true")],
        };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        options.iter().map(owned).collect()
    }

    async fn look_for_network(&self) -> Result<Option<NetworkState>, RequestError> {
        let filters = HashMap::from([("name", vec![NETWORK])]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let networks = ask(|| self.docker.list_networks(Some(options.clone()))).await;
        let networks = networks.doing(|| "list networks".to_owned())?;
        // The filter finds parts of names as well.
        let network = networks
            .into_iter()
            .find(|network| network.name.as_deref() == Some(NETWORK));
        Ok(network.map(|network| NetworkState {
            apart: network
                .options
                .is_some_and(|options| options.get(ICC).is_some_and(|value| value == "false")),
            id: network.id.unwrap_or_default(),
        }))
    }

    /// Whether a network of that name is there.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn has_network(&self, name: &str) -> Result<bool, RequestError> {
        let none = None::<InspectNetworkOptions>;
        let found = ask(|| self.docker.inspect_network(name, none.clone())).await;
        match found.doing(|| format!("inspect network {name}")) {
            Ok(_) => Ok(true),
            Err(error) if error.fault.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The network as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkState {
    /// Its id.
    pub id: String,
    /// Whether the engine says that those on it do not reach each other.
    pub apart: bool,
}
